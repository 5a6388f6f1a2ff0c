/**
 * Where the coordinator puts reports together (SPEC.md §10.3): one upload for each (participant, offer, exchange), its size known
 * before a byte is taken, its memory reserved within a bound, its hash checked, handed on exactly once. Knows no sockets.
 */
import { equalBytes, toHex } from './bytes.ts';
import type { CryptoProvider } from './crypto/provider.ts';
import { TacitError } from './errors.ts';
import type { ParticipantId } from './ids.ts';

/** Where the bytes of one upload are put together. */
export interface UploadStorage {
  write(offset: number, bytes: Uint8Array): void;
  /** All bytes. */
  read(): Promise<Uint8Array>;
  /** Frees what it takes; called once. */
  release(): void;
}

export interface UploadDeskOptions {
  readonly crypto: CryptoProvider;
  /** The most memory that all uploads together may take. */
  readonly maxBytes: number;
  /** Where uploads go for which there is no memory, such as files; undefined: there is no room there either. */
  readonly spill?: (bytes: number) => UploadStorage | undefined;
  /** An upload that has not moved for so long may lose its place to another when memory is short. Default 30 s. */
  readonly idleMs?: number;
  /** What a participant is told to wait when there is no room. Default 1 s. */
  readonly retryAfterMs?: number;
  /** A clock in ms that only goes forward. */
  readonly now?: () => number;
}

/** A complete upload whose hash is right; its content is not checked yet. */
export interface ReceivedReport {
  readonly participant: ParticipantId;
  readonly offerHash: Uint8Array;
  readonly exchange: number;
  readonly suite: string;
  readonly hash: Uint8Array;
  /** The sealed report; the desk lets go of it when the hand-over has ended. */
  readonly bytes: Uint8Array;
}

/** What `upload` announces. */
export interface Announcement {
  readonly offerHash: Uint8Array;
  readonly exchange: number;
  readonly suite: string;
  readonly hash: Uint8Array;
  readonly bytes: number;
}

/** The caller admits only participants of the round; all answers that are not offsets are coded errors. */
export interface UploadDesk {
  /** From now on reports of this exchange are taken, of exactly these sizes by suite. */
  begin(offerHash: Uint8Array, exchange: number, bytesBySuite: Readonly<Record<string, number>>): void;
  /** No more reports of this offer; what is incomplete is dropped. */
  end(offerHash: Uint8Array): void;
  /**
   * Opens or resumes an upload. @returns the offset from which to go on
   * @throws TacitError round/stale, round/duplicate, wire/no-common-suite, wire/too-large, report/malformed, wire/rate-limited
   */
  open(participant: ParticipantId, announced: Announcement): number;
  /**
   * Takes a chunk; one that is held already is acknowledged again. @returns the offset below which every byte is held
   * @throws TacitError wire/unexpected (nothing open, or a gap), report/malformed (beyond the announced size)
   */
  put(participant: ParticipantId, at: { readonly hash: Uint8Array; readonly offset: number }, body: Uint8Array): number;
  /**
   * Completes an upload: checks its hash, then hands it on, once however often it is committed; all callers get the one outcome.
   * What `handOn` throws refuses the report, and a new one may be opened.
   * @throws TacitError wire/unexpected (incomplete or unknown), wire/hash-mismatch, and what `handOn` throws
   */
  commit(
    participant: ParticipantId,
    announced: Omit<Announcement, 'suite'>,
    handOn: (report: ReceivedReport) => Promise<void>,
  ): Promise<void>;
  /** Drops what this participant has not completed. */
  forget(participant: ParticipantId): void;
  /** Memory reserved now. */
  readonly heldBytes: number;
}

interface Upload {
  readonly participant: ParticipantId;
  readonly announced: Announcement;
  readonly hashHex: string;
  /** Undefined once the report was handed on. */
  storage: UploadStorage | undefined;
  readonly spilled: boolean;
  offset: number;
  movedAt: number;
  outcome: Promise<void> | undefined;
}

const windowKey = (offerHash: Uint8Array, exchange: number): string => `${toHex(offerHash)}/${exchange}`;

export function createUploadDesk(options: UploadDeskOptions): UploadDesk {
  const { crypto, maxBytes, idleMs = 30_000, retryAfterMs = 1000, now = () => performance.now() } = options;
  const sizes = new Map<string, Readonly<Record<string, number>>>();
  /** By window and participant, and by participant and hash (for `put`, which names no offer). */
  const uploads = new Map<string, Upload>();
  const byHash = new Map<string, Upload>();
  let held = 0;

  const placeOf = (participant: ParticipantId, offerHash: Uint8Array, exchange: number): string =>
    `${windowKey(offerHash, exchange)}/${participant}`;
  const placeOfUpload = ({ participant, announced }: Upload): string =>
    placeOf(participant, announced.offerHash, announced.exchange);
  const hashKey = (participant: ParticipantId, hashHex: string): string => `${participant}/${hashHex}`;

  const release = (upload: Upload): void => {
    upload.storage?.release();
    upload.storage = undefined;
  };
  /** Takes an upload off the desk; one that is being handed on keeps its memory until that has ended. */
  const remove = (upload: Upload): void => {
    const place = placeOfUpload(upload);
    if (uploads.get(place) === upload) uploads.delete(place);
    const key = hashKey(upload.participant, upload.hashHex);
    if (byHash.get(key) === upload) byHash.delete(key);
    if (!upload.outcome) release(upload);
  };
  const removeWhere = (matches: (upload: Upload) => boolean): void => {
    for (const upload of [...uploads.values()]) if (matches(upload)) remove(upload);
  };

  const checkSize = ({ offerHash, exchange, suite, bytes }: Announcement): void => {
    const bySuite = sizes.get(windowKey(offerHash, exchange));
    if (!bySuite) throw new TacitError('round/stale', 'no reports are taken for that offer and exchange');
    const expected = Object.hasOwn(bySuite, suite) ? bySuite[suite] : undefined;
    if (expected === undefined) throw new TacitError('wire/no-common-suite', 'the plan does not admit that suite');
    if (bytes > expected || bytes > maxBytes) throw new TacitError('wire/too-large', `a report of ${bytes} bytes`);
    if (bytes < expected) throw new TacitError('report/malformed', `a report of ${bytes} bytes, not ${expected}`);
  };
  const inMemory = (bytes: number): UploadStorage => {
    const buffer = new Uint8Array(bytes);
    held += bytes;
    return {
      write: (offset, part) => buffer.set(part, offset),
      read: async () => buffer,
      release: () => {
        held -= bytes;
      },
    };
  };
  const roomFor = (bytes: number): Pick<Upload, 'storage' | 'spilled'> => {
    const idleSince = now() - idleMs;
    if (held + bytes > maxBytes) removeWhere((upload) => !upload.outcome && upload.movedAt <= idleSince);
    if (held + bytes <= maxBytes) return { storage: inMemory(bytes), spilled: false };
    const storage = options.spill?.(bytes);
    if (storage) return { storage, spilled: true };
    throw new TacitError('wire/rate-limited', 'there is no room for another report yet', { retryAfterMs });
  };

  const check = async (upload: Upload, handOn: (report: ReceivedReport) => Promise<void>): Promise<void> => {
    const { participant, announced } = upload;
    const bytes = await upload.storage?.read();
    if (!bytes || !equalBytes(await crypto.sha256(bytes), announced.hash)) {
      throw new TacitError('wire/hash-mismatch', 'the report does not have the hash that was announced');
    }
    const { offerHash, exchange, suite, hash } = announced;
    await handOn({ participant, offerHash, exchange, suite, hash, bytes });
  };
  /** Ends when no spilled report is in memory: they are read one at a time. */
  let unspilled: Promise<unknown> = Promise.resolve();
  const handOver = async (upload: Upload, handOn: (report: ReceivedReport) => Promise<void>): Promise<void> => {
    try {
      if (upload.spilled) {
        const turn = unspilled.then(() => check(upload, handOn));
        unspilled = turn.catch(() => {});
        await turn;
      } else {
        await check(upload, handOn);
      }
    } catch (refused) {
      remove(upload);
      throw refused;
    } finally {
      release(upload);
    }
  };

  return {
    begin(offerHash, exchange, bytesBySuite) {
      sizes.set(windowKey(offerHash, exchange), bytesBySuite);
    },
    end(offerHash) {
      const prefix = `${toHex(offerHash)}/`;
      for (const key of [...sizes.keys()]) if (key.startsWith(prefix)) sizes.delete(key);
      removeWhere((upload) => equalBytes(upload.announced.offerHash, offerHash));
    },
    open(participant, announced) {
      checkSize(announced);
      const place = placeOf(participant, announced.offerHash, announced.exchange);
      const hashHex = toHex(announced.hash);
      const found = uploads.get(place);
      if (found && found.hashHex === hashHex && found.announced.suite === announced.suite) {
        found.movedAt = now();
        return found.offset;
      }
      if (found?.outcome) throw new TacitError('round/duplicate', 'a report of this participant is already in');
      if (found) remove(found);
      if (byHash.has(hashKey(participant, hashHex))) {
        throw new TacitError('wire/unexpected', 'these bytes are being uploaded as another report');
      }
      const room = roomFor(announced.bytes);
      const upload = { participant, announced, hashHex, ...room, offset: 0, movedAt: now(), outcome: undefined };
      uploads.set(place, upload);
      byHash.set(hashKey(participant, hashHex), upload);
      return 0;
    },
    put(participant, { hash, offset }, body) {
      const upload = byHash.get(hashKey(participant, toHex(hash)));
      if (!upload) throw new TacitError('wire/unexpected', 'no such upload is open');
      if (offset > upload.offset) throw new TacitError('wire/unexpected', `a gap before ${offset}`);
      if (offset + body.length > upload.announced.bytes) {
        throw new TacitError('report/malformed', 'more bytes than were announced');
      }
      const fresh = body.subarray(upload.offset - offset);
      upload.storage?.write(upload.offset, fresh);
      upload.offset += fresh.length;
      upload.movedAt = now();
      return upload.offset;
    },
    commit(participant, { offerHash, exchange, hash, bytes }, handOn) {
      const upload = uploads.get(placeOf(participant, offerHash, exchange));
      if (!upload || upload.hashHex !== toHex(hash) || upload.announced.bytes !== bytes) {
        return Promise.reject(new TacitError('wire/unexpected', 'no such upload is open'));
      }
      if (upload.offset < bytes) {
        return Promise.reject(new TacitError('wire/unexpected', `only ${upload.offset} of ${bytes} bytes are here`));
      }
      upload.outcome ??= handOver(upload, handOn);
      return upload.outcome;
    },
    forget(participant) {
      removeWhere((upload) => upload.participant === participant && !upload.outcome);
    },
    get heldBytes() {
      return held;
    },
  };
}
