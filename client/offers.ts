/**
 * What a participant does with an offer: checks it, accepts or declines it, and works on its contribution to the end. What fails on
 * the way costs the round or the connection.
 */
import type { LocalState } from '../learning/pool/local-state.ts';
import { toHex } from '../protocol/bytes.ts';
import { asTacitError, type ErrorCode, TacitError } from '../protocol/errors.ts';
import { offerHashOf, offerStatement, verifyStatement } from '../protocol/identity.ts';
import type { ServerMessageOf } from '../protocol/messages.ts';
import { type Contribution, contribute, contributionFor } from './contribution.ts';
import { decideFailure } from './failure.ts';
import type { Link } from './link.ts';
import { afterAccepting, afterContributing, epsilonAfter, type Notebook } from './notebook.ts';
import { dropContribution, isKnown, WAITING } from './participant-state.ts';
import { budgetOf, checkContribution, checkOffer, type OfferDecision } from './policy.ts';

/** What a coordinator answers when an attempt has gone on without waiting. */
const OVERTAKEN: ReadonlySet<ErrorCode> = new Set(['round/stale', 'round/late', 'round/duplicate']);

/** Accepts an offer and lets `work` begin, or declines it. @throws TacitError auth/bad-signature, run/store, net/closed */
export async function takeOffer(
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
export async function runContribution(link: Link, contribution: Contribution): Promise<void> {
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
