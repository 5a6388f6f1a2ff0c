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

/** What the coordinator says on joining about the rounds so far. */
export interface Standing {
  readonly round: number;
  readonly head: Uint8Array;
}

/**
 * The notes after joining. Rounds that were missed cannot be checked link by link; going back, or another head for the same
 * round, is refused.
 * @throws TacitError auth/forked-transcript
 */
export function afterJoining(notes: RunNotes, standing: Standing): RunNotes {
  const head = toHex(standing.head);
  if (standing.round < notes.round) {
    throw forked(`the transcript has ${standing.round} rounds; ${notes.round} were seen before`);
  }
  if (standing.round === notes.round) {
    if (head !== notes.head) throw forked(`after ${notes.round} rounds the transcript has another head than before`);
    return notes;
  }
  const { modelHash: _unknown, ...kept } = notes;
  return { ...kept, head, round: standing.round };
}

/**
 * The notes after one more committed round; the same notes if this very round was noted already. When rounds in between were
 * missed, the record is where the transcript now stands, as on joining.
 * @throws TacitError auth/bad-signature, auth/forked-transcript
 */
export async function afterRecord(
  crypto: CryptoProvider,
  serverKey: Uint8Array,
  notes: RunNotes,
  record: CommitRecord,
): Promise<RunNotes> {
  await verifyStatement(crypto, serverKey, commitStatement(record), record.signature);
  const head = toHex(await headAfter(crypto, record));
  if (head === notes.head) return notes;
  const modelHash = toHex(record.modelHash);
  if (record.round > notes.round) return { ...notes, head, round: record.round + 1, modelHash };
  if (record.round < notes.round || !equalBytes(record.prevHead, fromHex(notes.head))) {
    throw forked(`the record of round ${record.round + 1} does not follow the ${notes.round} rounds seen before`);
  }
  return { ...notes, head, round: notes.round + 1, modelHash };
}
