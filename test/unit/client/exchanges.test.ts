/** A participant in rounds of two exchanges: statistics, then training with what the strategy made of everybody's. */
import { describe, expect, it } from 'vitest';
import { modelOf } from '../../../learning/model.ts';
import { toHex } from '../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { TacitError } from '../../../protocol/errors.ts';
import { identityFromSeed } from '../../../protocol/identity.ts';
import { openSum } from '../../../protocol/report.ts';
import { exchangesOf } from '../../../protocol/sections.ts';
import { float32, type NamedArrays, scalar } from '../../../protocol/tensors.ts';
import { fakeCoordinator } from './fake-coordinator.ts';
import { smallPlan } from './fixture.ts';
import { fakeTrainer, start } from './participant-fixture.ts';

const plan = smallPlan({
  strategy: { name: 'shared-statistics' },
  pretext: { name: 'spectral', projector: { hidden: [8], dim: 5 } },
  training: { steps: 1, optimiser: { name: 'adam', learningRate: 0.1 } },
});
const LENGTH = 15;
const exchanges = exchangesOf(plan, modelOf(plan).reportShape);
const everybody = (value = 0.5): NamedArrays => ({
  statistics: float32([LENGTH], new Float32Array(LENGTH).fill(value)),
  weight: scalar(3),
});
const stranger = await identityFromSeed(nodeCrypto, new Uint8Array(32).fill(99));

/** A participant that has reported its statistics. */
async function measured(trainer = fakeTrainer()) {
  const coordinator = await fakeCoordinator(plan);
  const started = await start(coordinator, {}, trainer);
  await started.event('plan');
  const offerHash = await coordinator.offer();
  await expect.poll(() => coordinator.reports.length).toBe(1);
  return { coordinator, offerHash, ...started };
}

describe('a round of two exchanges', () => {
  it('reports statistics, then a delta made with what came back, and is counted once', async () => {
    const { coordinator, offerHash, event, trainer } = await measured();
    const first = openSum(plan, exchanges[0]!, coordinator.reports[0]!.words);
    expect(first.sections.statistics![3]).toBeCloseTo(0.01, 6);
    expect(trainer.inputs).toEqual([]);
    await coordinator.next(offerHash, everybody());
    await event('reported');
    expect(coordinator.reports.map(({ exchange }) => exchange)).toEqual([0, 1]);
    expect(trainer.inputs[0]!.model).toEqual(coordinator.initial);
    expect(trainer.inputs[0]!.shared).toEqual({
      ...everybody(),
      own: new Float32Array(LENGTH).fill(0.01),
    });
    const second = openSum(plan, exchanges[1]!, coordinator.reports[1]!.words);
    expect(second.sections.delta![0]).toBeCloseTo(1e-3, 5);
    // the model is pulled once, and each broadcast once
    expect(coordinator.sent('accept')).toHaveLength(1);
    expect(new Set(coordinator.sent('ask').map((m) => toHex((m as { hash: Uint8Array }).hash))).size).toBe(3);
    await coordinator.commit(offerHash);
    expect(await event('committed')).toMatchObject({ mine: true });
  });

  it('a connection lost while it waits costs nothing: it is given the exchange that is under way', async () => {
    const { coordinator, offerHash, event, trainer } = await measured();
    coordinator.drop();
    await event('joined', 1);
    await coordinator.next(offerHash, everybody());
    await event('reported');
    expect(trainer.measured).toHaveLength(1);
    expect(coordinator.reports.map(({ exchange }) => exchange)).toEqual([0, 1]);
  });

  it('one that begins while it is away is answered to `accept`', async () => {
    const { coordinator, offerHash, event, trainer } = await measured();
    coordinator.drop();
    await coordinator.next(offerHash, everybody(0.25));
    await event('reported');
    expect(trainer.measured).toHaveLength(1);
    expect(trainer.inputs[0]!.shared!.statistics.data[0]).toBe(0.25);
  });

  it('a connection lost in the middle of the second exchange resumes it', async () => {
    const trainer = fakeTrainer();
    let train = (): void => {};
    trainer.gate = new Promise<void>((resolve) => {
      train = resolve;
    });
    const { coordinator, offerHash, event } = await measured(trainer);
    await coordinator.next(offerHash, everybody());
    await expect.poll(() => trainer.inputs.length).toBe(1);
    coordinator.drop();
    await event('joined', 1);
    train();
    await event('reported');
    expect(trainer.inputs).toHaveLength(1);
    expect(trainer.cancelled).toBe(0);
    expect(coordinator.reports.map(({ exchange }) => exchange)).toEqual([0, 1]);
  });

  it('the end of the attempt ends the wait, and the next attempt is taken', async () => {
    const { coordinator, offerHash, event, trainer } = await measured();
    coordinator.broadcast({
      type: 'failed',
      offerHash,
      round: 0,
      attempt: 1,
      code: 'round/too-few-reports',
      retryAfterMs: 1,
    });
    await event('failed');
    const again = await coordinator.offer({ attempt: 2 });
    await expect.poll(() => coordinator.reports.length).toBe(2);
    await coordinator.next(again, everybody());
    expect(await event('reported')).toMatchObject({ attempt: 2 });
    expect(trainer.measured.map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  it('the start of another offer’s exchange is of no interest', async () => {
    const { coordinator, offerHash, event } = await measured();
    const other = { offerHash: new Uint8Array(32).fill(7), index: 1, blobs: [], signature: new Uint8Array(64) };
    coordinator.broadcast({ type: 'exchange', exchange: other });
    await coordinator.next(offerHash, everybody());
    await event('reported');
  });
});

describe('what a start must be', () => {
  it('signed by the coordinator', async () => {
    const { coordinator, offerHash, result, trainer } = await measured();
    await coordinator.next(offerHash, everybody(), stranger);
    await expect(result).rejects.toMatchObject({ code: 'auth/bad-signature' });
    expect(trainer.inputs).toEqual([]);
  });

  it.each([
    ['of another length', { ...everybody(), statistics: float32([3], new Float32Array(3)) }, 'weights/mismatch'],
    ['incomplete', { weight: scalar(1) }, 'weights/mismatch'],
    ['not finite', everybody(Number.NaN), 'weights/not-finite'],
  ] as const)('a broadcast %s is not trained with', async (_what, arrays, code) => {
    const { coordinator, offerHash, event, trainer } = await measured();
    await coordinator.next(offerHash, arrays);
    expect(await event('failed')).toMatchObject({ code });
    expect(trainer.inputs).toEqual([]);
    await expect.poll(() => coordinator.sent('decline')).toEqual([expect.objectContaining({ code })]);
  });

  it('the same after a reconnection: nobody computes from one broadcast and is masked as if from another', async () => {
    const trainer = fakeTrainer();
    trainer.gate = new Promise(() => {});
    const { coordinator, offerHash, result } = await measured(trainer);
    await coordinator.next(offerHash, everybody(0.5));
    await expect.poll(() => trainer.inputs.length).toBe(1);
    await coordinator.restart(offerHash, everybody(0.25));
    coordinator.drop();
    await expect(result).rejects.toMatchObject({ code: 'wire/unexpected' });
    expect(coordinator.sent('upload')).toHaveLength(1);
  });

  it.each([
    [
      'with one more',
      [
        ['broadcast', everybody(0.5)],
        ['other', everybody(0.25)],
      ],
    ],
    [
      'with one more before it',
      [
        ['other', everybody(0.5)],
        ['broadcast', everybody(0.25)],
      ],
    ],
    [
      'twice',
      [
        ['broadcast', everybody(0.5)],
        ['broadcast', everybody(0.25)],
      ],
    ],
    ['with none', []],
  ] as const)(
    'of the blobs that the exchange brings, not %s: their hashes in order are all that masks are bound to',
    async (_what, named) => {
      const { coordinator, offerHash, result, trainer } = await measured();
      await coordinator.startNamed(offerHash, named);
      await expect(result).rejects.toMatchObject({ code: 'wire/unexpected' });
      expect(trainer.inputs).toEqual([]);
    },
  );

  it('the next one: who was not there for the first declines the second', async () => {
    const { coordinator, offerHash, result, stop } = await measured();
    stop.abort();
    await result;
    await coordinator.next(offerHash, everybody());
    const { event, trainer } = await start(coordinator);
    await event('plan');
    await coordinator.repeat(offerHash);
    expect(await event('failed')).toMatchObject({ code: 'train/failed' });
    await expect.poll(() => coordinator.sent('decline').length).toBe(1);
    expect([...trainer.inputs, ...trainer.measured]).toEqual([]);
  });

  it('measurable: what fails sends nothing', async () => {
    const trainer = fakeTrainer();
    trainer.statistics = () => {
      throw new TacitError('report/not-finite', 'NaN');
    };
    const coordinator = await fakeCoordinator(plan);
    const { event } = await start(coordinator, {}, trainer);
    await event('plan');
    await coordinator.offer();
    expect(await event('failed')).toMatchObject({ code: 'report/not-finite' });
    expect(coordinator.sent('upload')).toEqual([]);
  });
});
