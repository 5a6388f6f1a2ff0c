/** The requests of participants within an attempt: accept, decline, and the three steps of a report. */
import { equalBytes } from '../protocol/bytes.ts';
import { asTacitError, type ErrorCode, TacitError } from '../protocol/errors.ts';
import { uploadStatement, verifyStatement } from '../protocol/identity.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import type { ClientMessageOf, ServerMessageOf } from '../protocol/messages.ts';
import type { ReceivedReport } from '../protocol/transfer.ts';
import type { Attempt } from './attempt.ts';
import { type MaskedExchange, stageOfAnswer } from './masked-exchange.ts';
import type { Participant } from './participants.ts';
import type { Report, RoundEffect } from './round-state.ts';

/** What a participant is told to wait when the round that it speaks of is over. */
const STALE_RETRY_MS = 1000;

const stale = (): TacitError =>
  new TacitError('round/stale', 'that offer has passed', { retryAfterMs: STALE_RETRY_MS });

type Answer = Extract<RoundEffect, { type: 'admit' | 'refuse' | 'verify' | 'add' }>;

const refusal = (answer: Answer | undefined): TacitError =>
  answer?.type === 'refuse'
    ? new TacitError(answer.code, `refused: ${answer.code}`, { retryAfterMs: answer.retryAfterMs })
    : stale();

const isAnswer = (effect: RoundEffect): effect is Answer =>
  effect.type === 'admit' || effect.type === 'refuse' || effect.type === 'verify' || effect.type === 'add';

/** The effect that answers a request of this participant. */
const answerTo = (effects: readonly RoundEffect[], participant: ParticipantId): Answer | undefined =>
  effects.filter(isAnswer).find((effect) => effect.participant === participant);

function checkOffer(attempt: Attempt, offerHash: Uint8Array): void {
  if (!equalBytes(offerHash, attempt.offerHash)) throw stale();
}

/** An upload as the machine knows it: under masks the words of the first exchange come after keys and shares. */
const reportOf = (attempt: Attempt, participant: ParticipantId, exchange: number): Report => ({
  participant,
  exchange,
  stage: attempt.masked && exchange === 0 ? 'masking' : undefined,
});

/** Why a report of this participant could not be taken now: asked of the machine without moving it. */
function whyNot(attempt: Attempt, participant: ParticipantId, exchange: number): TacitError | undefined {
  const report = reportOf(attempt, participant, exchange);
  const answer = answerTo(attempt.preview({ type: 'report', ...report }), participant);
  return answer?.type === 'verify' ? undefined : refusal(answer);
}

/** @throws TacitError why the participant is not (any more) part of this attempt */
export function accept(
  attempt: Attempt,
  { id }: Participant,
  request: ClientMessageOf<'accept'>,
): ServerMessageOf<'exchange'> {
  checkOffer(attempt, request.offerHash);
  const answer = answerTo(attempt.dispatch({ type: 'accept', participant: id }), id);
  if (answer?.type !== 'admit') throw refusal(answer);
  attempt.record.onAccepted(id);
  return { type: 'exchange', re: request.id, exchange: attempt.sums.starts[answer.exchange]! };
}

export function decline(attempt: Attempt, { id }: Participant, request: ClientMessageOf<'decline'>): void {
  checkOffer(attempt, request.offerHash);
  const code = request.code as ErrorCode;
  attempt.record.onDeclined(id, code);
  attempt.dispatch({ type: 'decline', participant: id, code });
}

/** Opens or resumes an upload. @returns the offset from which to go on. @throws TacitError */
export function upload(attempt: Attempt, { id }: Participant, request: ClientMessageOf<'upload'>): number {
  checkOffer(attempt, request.offerHash);
  const refused = whyNot(attempt, id, request.exchange);
  // Whoever did not get the answer to its report may ask again: for the same bytes the desk says that they are all here.
  if (refused && refused.code !== 'round/duplicate') throw refused;
  return attempt.desk.open(id, request);
}

/** @returns the offset below which every byte is held. @throws TacitError */
export function put(attempt: Attempt, { id }: Participant, request: ClientMessageOf<'put'>, body: Uint8Array): number {
  if (!attempt.takesReports) throw stale();
  return attempt.desk.put(id, request, body);
}

/** Returns once the report was opened, verified and added. @throws TacitError why it does not count */
export async function commit(
  attempt: Attempt,
  participant: Participant,
  request: ClientMessageOf<'commit'>,
): Promise<void> {
  checkOffer(attempt, request.offerHash);
  await verifyStatement(attempt.crypto, participant.publicKey, uploadStatement(request), request.signature);
  const refused = whyNot(attempt, participant.id, request.exchange);
  try {
    // A repetition of a report that is in gets the answer of the first: the desk knows which.
    await attempt.desk.commit(participant.id, request, (report) => take(attempt, participant, report));
  } catch (thrown) {
    // Nothing of it is on the desk: the machine knows better why.
    throw refused && asTacitError(thrown).code === 'wire/unexpected' ? refused : thrown;
  }
}

/** Takes what a participant gives to a masked exchange. @throws TacitError why it is not taken */
export async function answer(
  attempt: Attempt,
  { id }: Participant,
  request: ClientMessageOf<'answer'>,
  body: Uint8Array,
): Promise<void> {
  checkOffer(attempt, request.offerHash);
  const { masked } = attempt;
  if (!masked) throw new TacitError('wire/unexpected', 'the reports of this plan are sealed');
  if (masked.hasTaken(id, request, body)) return;
  if (request.step === 'complaint') return complain(attempt, masked, id, request, body);
  const report = { participant: id, exchange: request.exchange, stage: stageOfAnswer(request.step) };
  const wanted = answerTo(attempt.dispatch({ type: 'report', ...report }), id);
  if (wanted?.type !== 'verify') throw refusal(wanted);
  try {
    await masked.take(id, request, body);
  } catch (thrown) {
    const error = asTacitError(thrown);
    attempt.dispatch({ type: 'rejected', ...report, code: error.code });
    throw error;
  }
  const verdict = answerTo(attempt.answered(report), id);
  if (verdict?.type !== 'add') throw refusal(verdict);
}

/** Takes a complaint of boxes, which ends no stage: who makes it stays in. Who makes a bad one is out. */
async function complain(
  attempt: Attempt,
  masked: MaskedExchange,
  participant: ParticipantId,
  request: ClientMessageOf<'answer'>,
  body: Uint8Array,
): Promise<void> {
  try {
    await masked.take(participant, request, body);
  } catch (thrown) {
    const error = asTacitError(thrown);
    attempt.dispatch({ type: 'decline', participant, code: error.code });
    throw error;
  }
  attempt.onComplaint();
}

/** Takes a whole report through the machine: is it wanted, is it right, does it count. */
async function take(attempt: Attempt, participant: Participant, report: ReceivedReport): Promise<void> {
  const { id } = participant;
  const { exchange } = report;
  const taken = reportOf(attempt, id, exchange);
  const wanted = answerTo(attempt.dispatch({ type: 'report', ...taken }), id);
  if (wanted?.type !== 'verify') throw refusal(wanted);
  let words: Int32Array;
  try {
    const context = attempt.sealContext(participant.publicKey, exchange);
    words = await attempt.sums.aggregation.verify(report.suite, context, report.bytes);
  } catch (thrown) {
    const error = asTacitError(thrown);
    attempt.dispatch({ type: 'rejected', ...taken, code: error.code });
    throw error;
  }
  const verdict = answerTo(attempt.verified(taken, { words, bytes: report.bytes.length }), id);
  if (verdict?.type !== 'add') throw refusal(verdict);
}
