/** What no gradient moves: slow copies of the network and the queue, within a step and between rounds. */
import { describe, expect, it } from 'vitest';
import { eagerEngine } from '../../../../learning/engine/eager.ts';
import { modelOf } from '../../../../learning/model.ts';
import { endOfRound, startOfRound } from '../../../../learning/pool/local-state.ts';
import {
  drawStep,
  initialState,
  parametersIn,
  scalarsAt,
  stateNames,
  trainProgram,
} from '../../../../learning/train-step.ts';
import type { Plan } from '../../../../protocol/plan.ts';
import { stream } from '../../../../protocol/random.ts';
import { float32, type NamedArrays, sizeOf } from '../../../../protocol/tensors.ts';
import { planOf, TINY } from '../plans.ts';

const plans = { byol: planOf({ ...TINY.mlp, ...TINY.byol }), moco: planOf({ ...TINY.mlp, ...TINY.moco }) };
const SLOW = {
  byol: { 'target-encoder': 'encoder', 'target-projector': 'projector' },
  moco: { 'key-encoder': 'encoder', 'key-projector': 'projector' },
};

/** Parameters after one step of round `round`. */
async function afterStep(plan: Plan, before: NamedArrays, round: number): Promise<NamedArrays> {
  const engine = await eagerEngine('cpu');
  const program = trainProgram(plan);
  const executable = await engine.load(program);
  await executable.set(initialState(plan, before));
  const shape = [plan.training.batch, ...plan.data.shape];
  const rng = stream(2, 'images');
  const images = float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => rng.next()),
  );
  await executable.run({ 'batch/images': images, ...drawStep(plan, stream(1, 'draws')), ...scalarsAt(plan, round) });
  const after = parametersIn(await executable.get(stateNames(program)));
  await engine.close();
  return after;
}

describe.each([
  ['byol', 0.95],
  ['moco', 0.99],
] as const)('%s', (task, share) => {
  const plan = plans[task];
  const model = modelOf(plan);

  it('the slow copy keeps its share of itself and takes the rest from the network after the update', async () => {
    const before = model.init(1);
    const after = await afterStep(plan, before, 0);
    for (const [slow, online] of Object.entries(SLOW[task]))
      for (const name of Object.keys(before).filter((n) => n.startsWith(`${slow}/`))) {
        const of = (arrays: NamedArrays, group: string, i: number): number =>
          arrays[name.replace(slow, group)]!.data[i]!;
        for (let i = 0; i < before[name]!.data.length; i++)
          expect(of(after, slow, i)).toBeCloseTo(share * of(before, slow, i) + (1 - share) * of(after, online, i), 6);
      }
  });

  it('starts as the global network, and is no part of the report', () => {
    const [global, other] = [model.init(3), model.init(4)];
    const start = startOfRound(model, global, () => other, undefined, 0);
    for (const [slow, online] of Object.entries(SLOW[task])) {
      expect(start[`${slow}/dense0/kernel`]).toEqual(global[`${online}/dense0/kernel`]);
      expect(Object.keys(model.aggregated).some((name) => name.startsWith(`${slow}/`))).toBe(false);
    }
  });

  it(`${task === 'byol' ? 'stays' : 'does not stay'} with its participant between rounds`, () => {
    const [global, own] = [model.init(3), model.init(4)];
    const drift = { divergence: 0, emaScale: 0 };
    const kept = endOfRound(plan, model, 0, { parameters: own, optimiser: {}, drift });
    const start = startOfRound(model, global, () => global, kept, 1);
    for (const [slow, online] of Object.entries(SLOW[task])) {
      const expected = task === 'byol' ? own[`${slow}/dense0/kernel`] : global[`${online}/dense0/kernel`];
      expect(start[`${slow}/dense0/kernel`]).toEqual(expected);
    }
  });
});

it("byol's momentum rises from its start to 1 over the run", () => {
  const at = (round: number): number => scalarsAt(plans.byol, round)['scalars/momentum']!.data[0]!;
  expect(at(0)).toBeCloseTo(0.95, 6);
  expect(at(2)).toBeCloseTo(0.975, 6);
  expect(at(4)).toBeCloseTo(1, 6);
});

it("byol's predictor stays with a participant that drifted far, and only then", () => {
  const model = modelOf(plans.byol);
  const [global, own] = [model.init(3), model.init(4)];
  for (const divergence of [0.1, 0.9]) {
    const drift = { divergence, emaScale: 0 };
    const kept = endOfRound(plans.byol, model, 0, { parameters: own, optimiser: {}, drift });
    const start = startOfRound(model, global, () => global, kept, 1);
    const expected = divergence > 0.4 ? own : global;
    expect(start['predictor/dense0/kernel']).toEqual(expected['predictor/dense0/kernel']);
    expect(start['projector/dense0/kernel']).toEqual(global['projector/dense0/kernel']);
  }
});

describe("moco's queue", () => {
  const plan = plans.moco;
  const model = modelOf(plan);

  it('takes the newest keys in front, drops the oldest, and holds rows of length 1', async () => {
    const before = model.init(1);
    const [old, after] = [before['queue/keys']!, (await afterStep(plan, before, 0))['queue/keys']!];
    const [rows, dim] = old.shape as [number, number];
    const fresh = 2 * plan.training.batch;
    expect(after.shape).toEqual([rows, dim]);
    expect(Array.from(after.data.slice(fresh * dim))).toEqual(Array.from(old.data.slice(0, (rows - fresh) * dim)));
    expect(after.data[0]).not.toBe(old.data[0]);
    for (const { data } of [old, after])
      for (let i = 0; i < rows; i++) expect(Math.hypot(...data.slice(i * dim, (i + 1) * dim))).toBeCloseTo(1, 5);
  });

  it('is never sent, and stays with its participant', () => {
    const [global, own] = [model.init(3), model.init(4)];
    expect(Object.keys(model.aggregated).some((name) => name.startsWith('queue/'))).toBe(false);
    const drift = { divergence: 0, emaScale: 0 };
    const kept = endOfRound(plan, model, 0, { parameters: own, optimiser: {}, drift });
    expect(startOfRound(model, global, () => global, kept, 1)['queue/keys']).toEqual(own['queue/keys']);
  });
});
