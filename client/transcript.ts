/**
 * The participant's check of the transcript (SPEC.md §9): every committed round extends the one before, by the coordinator's
 * signature. A coordinator that shows two participants two histories, or one participant a history that goes back on what it
 * saw, is found out as soon as the participant looks.
 */
import { equalBytes, fromHex, toHex } from '../protocol/bytes.ts';
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import { TacitError } from '../protocol/errors.ts';
import { commitStatement, headAfter, verifyStatement } from '../protocol/identity.ts';
import type { CommitRecord } from '../protocol/messages.ts';
import type { RunNotes } from './notebook.ts';

const forked = (what: string): TacitError =>
  new TacitError('auth/forked-transcript', what, {
    hint:
      'The coordinator goes back on rounds that it has signed. If it was deliberately started afresh with the same key, ' +
      "remove this participant's notebook; otherwise do not take part.",
  });

/** Where the coordinator says that the transcript stands. */
export interface Standing {
  readonly round: number;
  readonly head: Uint8Array;
}

/** How a participant looks at a coordinator's transcript. */
export interface TranscriptView {
  readonly crypto: CryptoProvider;
  readonly serverKey: Uint8Array;
  /** Rounds of the plan: no transcript is longer, and none is followed further. */
  readonly rounds: number;
  /** Gets links from a round on, some at a time. */
  readonly fetch: (from: number) => Promise<readonly CommitRecord[]>;
}

/**
 * The notes after the links up to `standing` were looked at: none that was seen may be gone or another, each that was missed must
 * follow the one before, and the last is signed, which vouches for all before it.
 * @throws TacitError auth/forked-transcript, auth/bad-signature
 */
export async function catchUp(view: TranscriptView, notes: RunNotes, standing: Standing): Promise<RunNotes> {
  const { crypto, serverKey, rounds, fetch } = view;
  if (standing.round > rounds) throw forked(`the transcript has ${standing.round} rounds; the plan has ${rounds}`);
  if (standing.round < notes.round) {
    throw forked(`the transcript has ${standing.round} rounds; ${notes.round} were seen before`);
  }
  let head: Uint8Array = fromHex(notes.head);
  let last: CommitRecord | undefined;
  for (let round = notes.round; round < standing.round; ) {
    const records = (await fetch(round)).slice(0, standing.round - round);
    if (records.length === 0) throw forked(`the record of round ${round + 1} is held back`);
    for (const record of records) {
      if (record.round !== round || !equalBytes(record.prevHead, head)) {
        throw forked(`the record of round ${record.round + 1} does not follow the ${round} rounds before`);
      }
      head = await headAfter(crypto, record);
      last = record;
      round += 1;
    }
  }
  if (!equalBytes(head, standing.head)) {
    throw forked(`after ${standing.round} rounds the transcript has another head than its records give`);
  }
  if (!last) return notes;
  await verifyStatement(crypto, serverKey, commitStatement(last), last.signature);
  return { ...notes, head: toHex(head), round: standing.round, modelHash: toHex(last.modelHash) };
}

/**
 * The notes after one more committed round, and after those before it that were missed; the same notes if this very round was
 * noted already. @throws TacitError auth/bad-signature, auth/forked-transcript
 */
export async function afterRecord(view: TranscriptView, notes: RunNotes, record: CommitRecord): Promise<RunNotes> {
  const { crypto, serverKey } = view;
  await verifyStatement(crypto, serverKey, commitStatement(record), record.signature);
  const head = toHex(await headAfter(crypto, record));
  if (head === notes.head) return notes;
  if (record.round < notes.round) {
    throw forked(`another record of round ${record.round + 1} than before, after ${notes.round} rounds`);
  }
  const before = await catchUp(view, notes, { round: record.round, head: record.prevHead });
  return { ...before, head, round: record.round + 1, modelHash: toHex(record.modelHash) };
}
