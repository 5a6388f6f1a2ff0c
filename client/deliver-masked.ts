/**
 * From the words of an exchange to their share in a sum that nobody can take apart (SPEC.md §13): keys, shares, masked words, the
 * word on who is in the sum, and the shares that take the masks off. The session decides what may be given; here it is carried.
 * After a lost connection every step is gone through again, with the same answers.
 */
import { equalBytes } from '../protocol/bytes.ts';
import { TacitError } from '../protocol/errors.ts';
import type { AnswerStep, ExchangeStart, ServerMessageOf, StageStep } from '../protocol/messages.ts';
import { MASKED } from '../protocol/plan-privacy.ts';
import type { ParticipantSession } from '../protocol/secagg/contracts.ts';
import { openSession } from '../protocol/secagg/participant.ts';
import { startHashOf } from '../protocol/secagg/statements.ts';
import { termsOf } from '../protocol/secagg/terms.ts';
import type { Contribution, Stage, Workplace } from './contribution.ts';
import { type DeliverySteps, deliver } from './deliver-words.ts';
import { untilClosed } from './until-closed.ts';

/** A session, and what the coordinator has sent for its steps. */
export interface Masking {
  readonly session: ParticipantSession;
  /** How many exchanges it has. */
  readonly exchanges: number;
  /** By exchange and step; the first of each counts. */
  readonly bodies: Map<string, Uint8Array>;
  /** Called when one has come. */
  onBody: () => void;
}

const keyOf = (exchange: number, step: StageStep): string => `${exchange}/${step}`;

/** Fresh keys for every attempt; they are erased when it is over, whatever its end. */
function openMasking(at: Workplace, { offer, offerHash, stop }: Contribution): Masking {
  const { plan, exchanges } = at.agreement;
  const session = openSession({
    crypto: at.crypto,
    identity: at.identity,
    serverKey: at.serverKey,
    policyMinCohort: at.minSecureCohort,
    ...(at.checkCertificate
      ? { checkCertificate: at.checkCertificate, certificate: at.certificate }
      : { certificate: new Uint8Array(0) }),
    // the bytes that were downloaded have this hash, or nothing would have been trained
    ...termsOf(plan, exchanges, offer, offerHash),
  });
  stop.signal.addEventListener('abort', () => session.wipe(), { once: true });
  return { session, exchanges: exchanges.length, bodies: new Map(), onBody: () => {} };
}

/** Takes what a step starts from; of another offer, of an exchange that there is not, or for the second time, it is of no interest. */
export function noteStage(contribution: Contribution, { message, body }: StageNotice): void {
  const { masking, offerHash } = contribution;
  if (!masking || message.exchange >= masking.exchanges || !equalBytes(message.offerHash, offerHash)) return;
  const key = keyOf(message.exchange, message.step);
  if (masking.bodies.has(key)) return;
  masking.bodies.set(key, body.slice()); // the body is a view of its frame
  masking.onBody();
}

export interface StageNotice {
  readonly message: ServerMessageOf<'stage'>;
  readonly body: Uint8Array;
}

/** What a step of this exchange starts from, when it comes. */
function coming(at: Workplace, { stop }: Contribution, masking: Masking, key: string): Promise<Uint8Array> {
  const come = new Promise<Uint8Array>((resolve) => {
    const look = (): void => {
      const body = masking.bodies.get(key);
      if (body) resolve(body);
    };
    masking.onBody = look;
    look();
  });
  return untilClosed(at.peer, stop.signal, come);
}

/**
 * Takes the words of one exchange through the session, until the coordinator has what opens the sum.
 * @throws TacitError secagg/refused and others when the coordinator asks for what it must not have, and of its answers
 */
export async function deliverMasked(
  at: Workplace,
  contribution: Contribution,
  stage: Stage,
  words: Int32Array,
  start: ExchangeStart,
  { beforeLeaving, onAcknowledged }: DeliverySteps,
): Promise<void> {
  contribution.masking ??= openMasking(at, contribution);
  const { masking } = contribution;
  const { session } = masking;
  const exchange = stage.index;
  const give = async (step: AnswerStep, body: Uint8Array): Promise<void> => {
    contribution.stop.signal.throwIfAborted();
    await at.peer.request({ type: 'answer', offerHash: contribution.offerHash, exchange, step }, body);
  };
  const come = (step: StageStep): Promise<Uint8Array> => coming(at, contribution, masking, keyOf(exchange, step));
  if (exchange === 0) {
    await give('advertisement', await session.advertise());
    await give('sealed-shares', await session.share(await come('roster')));
    const complaint = await session.receive(await come('delivery'));
    if (complaint) await give('complaint', complaint);
  }
  const hashes = start.blobs.map(({ hash }) => hash);
  stage.sealed ??= session.mask(exchange, words, await startHashOf(at.crypto, hashes));
  const masked = await stage.sealed;
  await beforeLeaving();
  if (!stage.delivered) {
    await deliver(at, contribution, stage, MASKED, masked, onAcknowledged).catch((thrown: unknown) => {
      // the answer to an earlier commit was lost with its connection
      if (!(thrown instanceof TacitError) || thrown.code !== 'round/duplicate' || !stage.answered) throw thrown;
      stage.delivered = true;
      onAcknowledged();
    });
  }
  await give('agreement', await session.agree(await come('survivors')));
  await give('unmasking', await session.unmask(await come('agreements')));
}
