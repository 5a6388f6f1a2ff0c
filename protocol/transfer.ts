/**
 * Moving bytes too large for one frame (SPEC.md §10), the participant's half: blobs are pulled chunk by chunk, reports are pushed,
 * both with at most four chunks under way and both resumable. The coordinator's half: blob-shelf.ts and upload-desk.ts.
 */
import { equalBytes } from './bytes.ts';
import type { CryptoProvider } from './crypto/provider.ts';
import { TacitError } from './errors.ts';
import type { BlobRef } from './messages.ts';
import type { ParticipantPeer } from './peer.ts';
import { LIMITS } from './transport.ts';

export { type BlobShelf, createBlobShelf } from './blob-shelf.ts';
export { createUploadDesk, type ReceivedReport, type UploadDesk } from './upload-desk.ts';

/** What is under way of a blob; every byte below `offset` is in place. Survives the connection. */
export interface PartialBlob {
  readonly bytes: Uint8Array<ArrayBuffer>;
  offset: number;
}

export const startBlob = (ref: BlobRef): PartialBlob => ({ bytes: new Uint8Array(ref.bytes), offset: 0 });

export interface PullOptions {
  readonly crypto: CryptoProvider;
  /** What an earlier call, on another connection, has left; it is filled in place. */
  readonly resumeFrom?: PartialBlob;
  /** The largest blob to take; the size that the coordinator names is not trusted beyond it. */
  readonly maxBytes?: number;
  /** Called with the number of bytes in place. */
  readonly onProgress?: (bytes: number) => void;
  readonly timeoutMs?: number;
}

/** The length of the chunk at an offset: chunks lie at multiples of 256 KiB, the last one is shorter. */
export const chunkLength = (total: number, offset: number): number => Math.min(LIMITS.chunkBytes, total - offset);

/**
 * Runs `step` at every chunk offset from `start`, four at a time, and hands the results to `finish` in order.
 * What is under way when one fails is left to fail by itself.
 */
async function inWindow<T>(
  start: number,
  total: number,
  step: (offset: number) => Promise<T>,
  finish: (offset: number, result: T) => void,
): Promise<void> {
  const underWay: { offset: number; result: Promise<T> }[] = [];
  for (let next = start; next < total || underWay.length > 0; ) {
    while (next < total && underWay.length < LIMITS.window) {
      const result = step(next);
      result.catch(() => {});
      underWay.push({ offset: next, result });
      next += chunkLength(total, next);
    }
    const { offset, result } = underWay.shift()!;
    finish(offset, await result);
  }
}

/**
 * Pulls a blob and checks its hash.
 * @throws TacitError wire/hash-mismatch, wire/too-large, wire/malformed, and what the peer's requests throw
 */
export async function pullBlob(peer: ParticipantPeer, ref: BlobRef, options: PullOptions): Promise<Uint8Array> {
  if (ref.bytes > (options.maxBytes ?? LIMITS.blobBytes)) {
    throw new TacitError('wire/too-large', `${ref.name} has ${ref.bytes} bytes`);
  }
  const partial = options.resumeFrom ?? startBlob(ref);
  if (partial.bytes.length !== ref.bytes) throw new RangeError('resumed from another blob');
  const timeout = options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs };
  await inWindow(
    partial.offset,
    ref.bytes,
    (offset) => peer.request({ type: 'ask', hash: ref.hash, offset }, undefined, timeout),
    (offset, { message, body }) => {
      const fits = message.offset === offset && message.bytes === ref.bytes && equalBytes(message.hash, ref.hash);
      if (!fits || body?.length !== chunkLength(ref.bytes, offset)) {
        throw new TacitError('wire/malformed', `a chunk that is not the one asked for, at ${offset} of ${ref.name}`);
      }
      partial.bytes.set(body, offset);
      partial.offset = offset + body.length;
      options.onProgress?.(partial.offset);
    },
  );
  if (!equalBytes(await options.crypto.sha256(partial.bytes), ref.hash)) {
    partial.offset = 0;
    throw new TacitError('wire/hash-mismatch', `${ref.name} does not have the hash that was announced`);
  }
  return partial.bytes;
}

export interface Push {
  readonly offerHash: Uint8Array;
  readonly exchange: number;
  readonly suite: string;
  /** SHA-256 of `bytes`. */
  readonly hash: Uint8Array;
  /** The sealed report. */
  readonly bytes: Uint8Array;
  /** Called with the number of bytes that the coordinator holds. */
  readonly onProgress?: (bytes: number) => void;
  readonly timeoutMs?: number;
}

/**
 * Uploads a sealed report, from wherever the coordinator says that it stands; `commit` is the caller's next request.
 * After a lost connection the same call with the same bytes goes on. @throws TacitError wire/unexpected, and what the peer's requests throw
 */
export async function pushReport(peer: ParticipantPeer, push: Push): Promise<void> {
  const { offerHash, exchange, suite, hash, bytes } = push;
  const total = bytes.length;
  const timeout = push.timeoutMs === undefined ? {} : { timeoutMs: push.timeoutMs };
  const opening = { type: 'upload', offerHash, exchange, suite, hash, bytes: total } as const;
  const { message: opened } = await peer.request(opening, undefined, timeout);
  if (opened.offset > total) throw new TacitError('wire/unexpected', 'the coordinator holds more than there is');
  push.onProgress?.(opened.offset);
  await inWindow(
    opened.offset,
    total,
    (offset) =>
      peer.request({ type: 'put', hash, offset }, bytes.subarray(offset, offset + chunkLength(total, offset)), timeout),
    (offset, { message }) => {
      const expected = offset + chunkLength(total, offset);
      // Chunks further on may have arrived meanwhile; one that has not is a fault.
      if (message.offset < expected || message.offset > total) {
        throw new TacitError('wire/unexpected', `the coordinator holds ${message.offset} bytes instead of ${expected}`);
      }
      push.onProgress?.(message.offset);
    },
  );
}
