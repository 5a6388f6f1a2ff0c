/**
 * Life on one connection after joining: messages are taken one by one, in order; beside them at most one contribution is on its
 * way. What must outlive the connection is in `ParticipantState`.
 */
import type { LocalState } from '../learning/pool/local-state.ts';
import { toHex } from '../protocol/bytes.ts';
import { asTacitError, type ErrorCode, TacitError } from '../protocol/errors.ts';
import { finishedStatement, offerHashOf, offerStatement, verifyStatement } from '../protocol/identity.ts';
import type { ServerMessage, ServerMessageOf } from '../protocol/messages.ts';
import { errorOf } from '../protocol/peer.ts';
import {
  type Contribution,
  contribute,
  contributionFor,
  currentStage,
  noteStart,
  type Workplace,
} from './contribution.ts';
import { noteStage } from './deliver-masked.ts';
import { afterAccepting, afterContributing, epsilonAfter, type Notebook, notesOf, withTranscript } from './notebook.ts';
import { budgetOf, checkContribution, checkOffer, type LocalPolicy, type OfferDecision } from './policy.ts';
import { afterRecord, type TranscriptView } from './transcript.ts';

/** Where a participant stands. `reported`: its last report is acknowledged, and the round is not committed yet. */
export type Session =
  | { readonly phase: 'waiting' }
  | { readonly phase: 'contributing'; readonly contribution: Contribution }
  | { readonly phase: 'reported'; readonly contribution: Contribution };

export const WAITING: Session = { phase: 'waiting' };

/** What outlives a connection. */
export interface ParticipantState {
  session: Session;
  notebook: Notebook;
  /** What was kept from the last round that was reported. */
  local: LocalState | undefined;
  /** Reports that were acknowledged. */
  reports: number;
  /** Contributions that failed here, one after another. */
  failures: number;
}

/** The end of a run, and the final model if it was to be kept. */
export interface Finished {
  readonly rounds: number;
  readonly modelHash: string;
  readonly model: Uint8Array | undefined;
}

/** One connection on which the participant has joined. */
export interface Link extends Omit<Workplace, 'local' | 'beforeSending' | 'acknowledged'> {
  readonly policy: LocalPolicy;
  readonly state: ParticipantState;
  readonly transcript: TranscriptView;
  readonly keepModel: boolean;
  readonly now: () => number;
  /** Changes the notebook, and resolves when that is durable with what else `change` found. */
  readonly revise: <T>(change: (notebook: Notebook) => readonly [Notebook, T]) => Promise<T>;
  /** Makes what is kept between rounds durable. */
  readonly saveLocal: (local: LocalState) => Promise<void>;
}

const NOTHING = new Uint8Array(0);

/** What a coordinator answers when an attempt has gone on without waiting. */
const OVERTAKEN: ReadonlySet<ErrorCode> = new Set(['round/stale', 'round/late', 'round/duplicate']);

/** Failures of one's own training in a row after which it is pointless to go on. */
const MOST_FAILURES = 3;

/** What becomes of the participant when a contribution has failed. */
export type FailureDecision =
  /** Not this round. `tell`: the coordinator should know, since it waits. */
  | { readonly kind: 'sit-out'; readonly tell: boolean }
  /** This connection is of no more use; the error decides whether to come back. */
  | { readonly kind: 'end' };

/** Reasons of one's own to sit a round out, although the coordinator waits. */
const WORTH_SAYING: ReadonlySet<ErrorCode> = new Set([
  'secagg/bad-share',
  'round/too-few-participants',
  'round/too-many-contributions',
  'privacy/budget-spent',
]);

/** Pure: what to do about `error` after so many failures in a row before it. */
export function decideFailure(error: TacitError, failuresBefore: number): FailureDecision {
  const { code } = error;
  if (WORTH_SAYING.has(code)) return { kind: 'sit-out', tell: true };
  if (code.startsWith('round/')) return { kind: 'sit-out', tell: false };
  const local = code.startsWith('report/') || code.startsWith('weights/') || code === 'train/failed';
  if (local && failuresBefore + 1 < MOST_FAILURES) return { kind: 'sit-out', tell: true };
  return { kind: 'end' };
}

/** Pure: whether an offer is the one that is being worked on, or was reported for, already. */
export const isKnown = (session: Session, hashHex: string): boolean =>
  session.phase !== 'waiting' && session.contribution.hashHex === hashHex;

/** Takes part until the run has finished. @throws TacitError whatever ends the connection or the participation */
export function takePart(link: Link): Promise<Finished> {
  return new Promise((resolve, reject) => {
    let over = false;
    const end = (settle: () => void): void => {
      if (over) return;
      over = true;
      settle();
    };
    const fail = (thrown: unknown): void => end(() => reject(asTacitError(thrown)));
    const work = (contribution: Contribution): void => {
      runContribution(link, contribution).catch(fail);
    };
    const { peer, state } = link;
    let askedToWaitMs = 0;
    peer.onClose((reason) => fail(new TacitError('net/closed', reason, { retryAfterMs: askedToWaitMs })));
    if (state.session.phase !== 'waiting' && !state.session.contribution.done) work(state.session.contribution);

    let tail: Promise<unknown> = Promise.resolve();
    peer.onMessage(({ message, body = NOTHING }) => {
      // the connection ends right after it, so it cannot wait for its turn
      if (message.type === 'error') {
        fail(errorOf(message));
        return;
      }
      // before it stops, a coordinator says when to look whether it is back
      if (message.type === 'wait') askedToWaitMs = message.code === 'round/cancelled' ? message.retryAfterMs : 0;
      tail = tail.then(async () => {
        if (over) return;
        const finished = await take(link, message, body, work);
        if (finished) end(() => resolve(finished));
      });
      tail.catch(fail);
    });
  });
}

async function take(
  link: Link,
  message: ServerMessage,
  body: Uint8Array,
  work: (contribution: Contribution) => void,
): Promise<Finished | undefined> {
  switch (message.type) {
    case 'offer':
      await takeOffer(link, message, work);
      return undefined;
    case 'exchange':
      if (link.state.session.phase === 'contributing') noteStart(link.state.session.contribution, message.exchange);
      return undefined;
    case 'stage':
      if (link.state.session.phase !== 'waiting') noteStage(link.state.session.contribution, { message, body });
      return undefined;
    case 'committed':
      await takeCommit(link, message);
      return undefined;
    case 'failed':
      takeFailure(link, message);
      return undefined;
    case 'wait':
      link.emit({ type: 'waiting', code: message.code, retryAfterMs: message.retryAfterMs });
      return undefined;
    case 'finished':
      return finish(link, message);
    default:
      throw new TacitError('wire/unexpected', `"${message.type}" was not asked for`);
  }
}

async function takeOffer(
  { crypto, serverKey, agreement, policy, state, peer, emit, revise, now }: Link,
  { offer, signature }: ServerMessageOf<'offer'>,
  work: (contribution: Contribution) => void,
): Promise<void> {
  await verifyStatement(crypto, serverKey, offerStatement(offer), signature);
  const offerHash = await offerHashOf(crypto, offer);
  const contribution = contributionFor(offer, offerHash);
  const { hashHex } = contribution;
  if (isKnown(state.session, hashHex)) return;
  const { round, attempt } = offer;
  const { plan, planHash } = agreement;
  const decision = await revise((notebook): readonly [Notebook, OfferDecision] => {
    const nowMs = now();
    const decided = checkOffer(policy, offer, { plan, planHash, offerHash: hashHex, notebook, nowMs });
    return [decided.kind === 'accept' ? afterAccepting(notebook, offer, hashHex, nowMs) : notebook, decided];
  });
  if (decision.kind === 'decline') {
    emit({ type: 'declined', round, attempt, code: decision.code, reason: decision.reason });
    return decline(peer, offerHash, decision.code, decision.reason);
  }
  dropContribution(state);
  emit({ type: 'offer', round, attempt });
  state.session = { phase: 'contributing', contribution };
  work(contribution);
}

/** Works on a contribution to its end; only what ends the connection is thrown. */
async function runContribution(link: Link, contribution: Contribution): Promise<void> {
  const { state, emit } = link;
  const { round, attempt } = contribution.offer;
  const { privacy } = link.agreement.plan;
  const noised = privacy.mode === 'secagg+dp' ? privacy : undefined;
  let saved: Promise<void> = Promise.resolve();
  const beforeSending = async ({ offer }: Contribution): Promise<void> => {
    const modelHash = toHex(offer.modelHash);
    const counted = await link.revise((notebook) => {
      // again: another process or tab of this participant may have reported since the offer was accepted
      const decision = checkContribution(link.policy, link.agreement.plan, notebook, modelHash);
      if (decision.kind === 'decline') throw new TacitError(decision.code, decision.reason);
      const after = afterContributing(notebook, modelHash, noised?.noiseMultiplier);
      return [after, after];
    });
    if (!noised) return;
    const { delta } = noised;
    const budget = budgetOf(link.policy, noised);
    emit({ type: 'charged', round, attempt, epsilon: epsilonAfter(counted, delta), budget, delta });
  };
  const acknowledged = (_: Contribution, local: LocalState | undefined): void => {
    state.reports += 1;
    state.failures = 0;
    if (isKnown(state.session, contribution.hashHex)) state.session = { phase: 'reported', contribution };
    state.local = local;
    if (local) saved = link.saveLocal(local);
    emit({ type: 'reported', round, attempt });
  };
  try {
    await contribute({ ...link, local: state.local, beforeSending, acknowledged }, contribution);
    await saved;
  } catch (thrown) {
    if (contribution.stop.signal.aborted) return;
    // its report is in, so how the round ends is known from the transcript
    if (state.session.phase === 'reported' && OVERTAKEN.has(asTacitError(thrown).code)) return;
    await sitOut(link, contribution, asTacitError(thrown));
  }
}

/** Gives this attempt up, tells the coordinator if it waits for us, and stays for the next. @throws `error` if that is pointless */
async function sitOut(
  { state, emit, peer }: Link,
  { offer, offerHash, hashHex }: Contribution,
  error: TacitError,
): Promise<void> {
  const decision = decideFailure(error, state.failures);
  if (decision.kind === 'end') throw error;
  if (isKnown(state.session, hashHex)) state.session = WAITING;
  emit({ type: 'failed', round: offer.round, attempt: offer.attempt, code: error.code, reason: error.message });
  if (!decision.tell) return;
  state.failures += 1;
  await decline(peer, offerHash, error.code, error.message);
}

/** Tells the coordinator not to wait; that it has stopped waiting meanwhile is no fault. */
async function decline(peer: Link['peer'], offerHash: Uint8Array, code: ErrorCode, reason: string): Promise<void> {
  try {
    await peer.request({ type: 'decline', offerHash, code, text: reason.slice(0, 500) });
  } catch (thrown) {
    if (!(thrown instanceof TacitError) || !thrown.code.startsWith('round/')) throw thrown;
  }
}

async function takeCommit(link: Link, { commit }: ServerMessageOf<'committed'>): Promise<void> {
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

function takeFailure({ state, emit }: Link, message: ServerMessageOf<'failed'>): void {
  const { round, attempt, code } = message;
  if (!isKnown(state.session, toHex(message.offerHash))) return;
  dropContribution(state);
  emit({ type: 'failed', round, attempt, code, reason: 'the coordinator ended the attempt' });
}

function dropContribution(state: ParticipantState): void {
  if (state.session.phase !== 'waiting') state.session.contribution.stop.abort();
  state.session = WAITING;
}

async function finish(link: Link, message: ServerMessageOf<'finished'>): Promise<Finished> {
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
