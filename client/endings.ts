/** How a round ends for a participant, and the run: checked against signatures and the transcript, and written down. */
import { toHex } from '../protocol/bytes.ts';
import { finishedStatement, verifyStatement } from '../protocol/identity.ts';
import type { ServerMessageOf } from '../protocol/messages.ts';
import { currentStage } from './contribution.ts';
import type { Link } from './link.ts';
import { notesOf, withTranscript } from './notebook.ts';
import { dropContribution, isKnown, type ParticipantState } from './participant-state.ts';
import { afterRecord } from './transcript.ts';

/** The end of a run, and the final model if it was to be kept. */
export interface Finished {
  readonly rounds: number;
  readonly modelHash: string;
  readonly model: Uint8Array | undefined;
}

/** A round was committed: its record must follow the transcript. @throws TacitError auth/bad-signature, auth/forked-transcript, run/store */
export async function takeCommit(link: Link, { commit }: ServerMessageOf<'committed'>): Promise<void> {
  const { transcript, agreement, state, emit, revise } = link;
  const before = notesOf(state.notebook, agreement.planHashHex);
  const notes = await afterRecord(transcript, before, commit);
  if (notes === before) return;
  await revise((notebook) => [withTranscript(notebook, agreement.planHashHex, notes), undefined]);
  const mine = await wasMine(state, toHex(commit.offerHash));
  const { round, attempt, participants } = commit;
  emit({ type: 'committed', round, attempt, participants, modelHash: toHex(commit.modelHash), mine });
}

/** Whether this participant's report is in the round that was committed; its contribution is over either way. */
async function wasMine(state: ParticipantState, offerHash: string): Promise<boolean> {
  if (!isKnown(state.session, offerHash)) return false;
  // the answer to our own commit came before this message, but may not have been looked at yet
  if (state.session.phase === 'contributing') await currentStage(state.session.contribution)?.answered?.catch(() => {});
  const mine = isKnown(state.session, offerHash) && state.session.phase === 'reported';
  dropContribution(state);
  return mine;
}

/** An attempt came to nothing; one that this participant has no part in is of no interest. */
export function takeFailure({ state, emit }: Link, message: ServerMessageOf<'failed'>): void {
  const { round, attempt, code } = message;
  if (!isKnown(state.session, toHex(message.offerHash))) return;
  dropContribution(state);
  emit({ type: 'failed', round, attempt, code, reason: 'the coordinator ended the attempt' });
}

/** The run has finished: fetches the final model, if it is to be kept. @throws TacitError auth/bad-signature, and those of the download */
export async function finish(link: Link, message: ServerMessageOf<'finished'>): Promise<Finished> {
  const { crypto, serverKey, agreement, state, emit } = link;
  const { model, rounds, signature } = message;
  const statement = finishedStatement({
    task: agreement.plan.task,
    planHash: agreement.planHash,
    modelHash: model.hash,
    modelBytes: model.bytes,
    rounds,
  });
  await verifyStatement(crypto, serverKey, statement, signature);
  dropContribution(state);
  const modelHash = toHex(model.hash);
  const bytes = link.keepModel ? await link.download(model, () => {}) : undefined;
  emit({ type: 'finished', rounds, modelHash });
  return { rounds, modelHash, model: bytes };
}
