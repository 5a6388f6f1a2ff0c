/**
 * One participant of a real masked round puts broken, foreign, early and repeated answers between its good ones, drawn from a seed:
 * each is refused with a code, and the round gives the exact mean of those who are in it.
 */
import { expect, test } from 'vitest';
import { modelOf } from '../../learning/model.ts';
import { decodeClientFrame, decodeServerFrame, encodeFrame } from '../../protocol/codec.ts';
import { flatten } from '../../protocol/flatten.ts';
import type { AnswerStep, ClientMessage } from '../../protocol/messages.ts';
import { type Rng, stream } from '../../protocol/random.ts';
import type { Connection } from '../../protocol/transport.ts';
import { drawn, maskedHall, maskedPlan } from '../e2e/masked-hall.ts';
import { expectedModel, parametersOf } from '../e2e/server-harness.ts';

const STEPS: readonly AnswerStep[] = ['advertisement', 'sealed-shares', 'complaint', 'agreement', 'unmasking'];
type Answer = Extract<ClientMessage, { type: 'answer' }>;

/** Another answer than the one that is about to be sent. */
function spoilt(rng: Rng, message: Answer, body: Uint8Array): Uint8Array {
  const changed = body.slice();
  const step = STEPS[rng.below(STEPS.length)]!;
  switch (rng.below(5)) {
    case 0:
      changed[rng.below(changed.length)]! ^= 1 + rng.below(255);
      return encodeFrame(message, changed);
    case 1:
      return encodeFrame(message, changed.subarray(0, 1 + rng.below(changed.length - 1)));
    case 2:
      return encodeFrame({ ...message, step: step === message.step ? 'complaint' : step }, changed);
    case 3:
      return encodeFrame({ ...message, exchange: 1 + rng.below(255) }, changed);
    default:
      return encodeFrame({ ...message, offerHash: message.offerHash.map((byte) => byte ^ 1) }, changed);
  }
}

/** Puts one or two spoilt answers before each good one, and hides what is said to them. */
function spoiling(connection: Connection, rng: Rng, codes: string[]): Connection {
  let next = 1_000_000;
  const own = new Set<number>();
  return {
    ...connection,
    send: async (frame) => {
      const { message, body } = decodeClientFrame(frame);
      if (message.type === 'answer') {
        for (let i = rng.below(2); i < 2; i++) {
          const id = next++;
          own.add(id);
          await connection.send(spoilt(rng, { ...message, id }, body!));
        }
      }
      await connection.send(frame);
    },
    onFrame: (receive) =>
      connection.onFrame((frame) => {
        const { message } = decodeServerFrame(frame);
        if ('re' in message && message.re !== undefined && own.has(message.re)) {
          codes.push(message.type === 'error' ? message.code : message.type);
        } else receive(frame);
      }),
  };
}

test.each([1, 2, 3, 4, 5, 6])('seed %d', async (seed) => {
  const plan = maskedPlan();
  const rng = stream(seed, 'spoilt answers');
  const codes: string[] = [];
  const at = await maskedHall(plan, {
    count: 6,
    wire: (connection, i) => (i === 2 ? spoiling(connection, rng, codes) : connection),
  });
  const { model, history } = await at.run;
  await at.coordinator.stop();
  for (const { stop } of at.people) stop.abort();
  const counted = history[0]!.participants;
  expect(counted).toBeGreaterThanOrEqual(5);
  const before = flatten(modelOf(plan).init(plan.seed), modelOf(plan).aggregated);
  const meanOf = (who: readonly number[]) =>
    expectedModel(
      plan,
      before,
      who.map((i) => drawn({ plan, participant: at.identities[i]!.id, round: 0 })),
    );
  const expected = meanOf(counted === 6 ? [0, 1, 2, 3, 4, 5] : [0, 1, 3, 4, 5]);
  const error = parametersOf(plan, model).reduce((worst, x, i) => Math.max(worst, Math.abs(x - expected[i]!)), 0);
  expect(error).toBeLessThan(1e-6);
  expect(codes.length).toBeGreaterThan(0);
  expect(codes.filter((code) => !code.includes('/'))).toEqual([]);
});
