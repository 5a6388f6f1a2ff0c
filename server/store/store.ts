/**
 * Where a run is kept: committed rounds, attempts begun, and the privacy ledger. A run is named by the hash of its plan, so one
 * store holds several. Every write is durable when its promise resolves, and a commit is one transaction: all of it or nothing.
 * Implementations pass one contract suite (test/contract/store.ts).
 */
import { TacitError } from '../../protocol/errors.ts';
import type { HashHex } from '../../protocol/ids.ts';
import type { CommitRecord, Offer } from '../../protocol/messages.ts';

/** What one committed round left behind. */
export interface Commit {
  /** Version of the model: the number of rounds committed, this one included; one more than the last. */
  readonly version: number;
  /** The attempt that was committed, as it was offered. */
  readonly offer: Offer;
  /** The signed link of the transcript. */
  readonly record: CommitRecord;
  /** Head of the transcript after this link, 32 bytes. */
  readonly head: Uint8Array;
  /** The new global model, safetensors; `record.modelHash` is its SHA-256. */
  readonly model: Uint8Array;
  /** The strategy's state after this round, safetensors. */
  readonly state: Uint8Array;
  /** What was measured: loss, weight, norms, durations, bytes. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** A commit without the bytes of its model and state: these are kept for the last few versions only. */
export type CommitSummary = Omit<Commit, 'model' | 'state'>;

/** One release charged to the privacy budget, before it is made. Modes that promise no ε make no entries. */
export interface LedgerEntry {
  readonly round: number;
  readonly attempt: number;
  readonly exchange: number;
  /** What was released and with which parameters, by name. */
  readonly charge: Readonly<Record<string, number>>;
}

export interface Store {
  readonly name: string;
  /** The last committed round, or undefined before the first. */
  latest(run: HashHex): Promise<Commit | undefined>;
  /** All committed rounds, oldest first. */
  history(run: HashHex): Promise<readonly CommitSummary[]>;
  /** @throws TacitError run/store when the version is not the next one, or when nothing could be written */
  commit(run: HashHex, commit: Commit): Promise<void>;
  /** Notes that an attempt at `round` begins. @returns its number, never used before, also not by a process that was killed */
  beginAttempt(run: HashHex, round: number): Promise<number>;
  /** Charges the privacy ledger; to be awaited before the release. */
  charge(run: HashHex, entry: LedgerEntry): Promise<void>;
  ledger(run: HashHex): Promise<readonly LedgerEntry[]>;
  close(): Promise<void>;
}

/** Versions whose bytes are kept: the last, and one to fall back to. */
export const VERSIONS_KEPT = 2;

/** The rule of versions, in one place for all stores. @throws TacitError run/store */
export function checkNext(version: number, last: number): void {
  if (version === last + 1) return;
  throw new TacitError('run/store', `round ${version} cannot be stored after round ${last}`);
}
