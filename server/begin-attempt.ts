/** The start of an attempt: the model on the shelf, the offer and the first exchange signed. */
import { offerHashOf, offerStatement } from '../protocol/identity.ts';
import { type Offer, PROTOCOL_VERSION } from '../protocol/messages.ts';
import { termsOf } from '../protocol/secagg/terms.ts';
import { MODEL } from '../protocol/sections.ts';
import { Attempt } from './attempt.ts';
import type { AttemptContext } from './attempt-context.ts';
import { AttemptRecord } from './attempt-record.ts';
import { MaskedExchange } from './masked-exchange.ts';
import { openSums } from './round-sums.ts';
import { openServerSession } from './secagg/session.ts';

/** Signs the offer and the first exchange. Nothing is sent before `refresh`. */
export async function beginAttempt(context: AttemptContext): Promise<Attempt> {
  const { federation, progress, attempt } = context;
  const { crypto, identity, plan, planRef, shelf } = federation;
  const model = await shelf.add(MODEL, progress.model);
  shelf.keepOnly([planRef.hash, model.hash]);
  const offer: Offer = {
    v: PROTOCOL_VERSION,
    task: plan.task,
    kind: 'train',
    round: progress.version,
    attempt,
    modelVersion: progress.version,
    modelHash: model.hash,
    planHash: planRef.hash,
    nonce: crypto.randomBytes(32),
  };
  const offerHash = await offerHashOf(crypto, offer);
  const signature = await identity.sign(offerStatement(offer));
  const sums = await openSums(federation, progress, { offer, offerHash }, model);
  const masked = plan.privacy.mode === 'sealed' ? undefined : maskedExchange(context, offer, offerHash);
  const where = { round: offer.round, attempt };
  const record = new AttemptRecord(context, where);
  return new Attempt({ context, where, offer: { type: 'offer', offer, signature }, offerHash, sums, masked, record });
}

/** Keys are made anew for every attempt, and kept in memory only: nothing of a masked exchange outlives this process. */
function maskedExchange(context: AttemptContext, offer: Offer, offerHash: Uint8Array): MaskedExchange {
  const { federation, participants, checkCertificate, emit, onSpoilt } = context;
  const { crypto, identity, plan, exchanges } = federation;
  const session = openServerSession({
    crypto,
    identity,
    ...termsOf(plan, exchanges, offer, offerHash),
    ...(checkCertificate ? { checkCertificate } : {}),
  });
  return new MaskedExchange({
    session,
    offerHash,
    participants,
    onFault: (participant, request, code) => {
      emit({ type: 'refused', participant, request, code });
      onSpoilt(participant);
    },
  });
}
