/**
 * Rounds of strategy `shared-statistics`, with the participants' jobs, reports in fixed point and the strategy: in exact mode a round
 * is one step of centralised training on everybody's batches, whoever holds what.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSource } from '../../../learning/data/open.ts';
import type { SourceSpec } from '../../../learning/data/source.ts';
import { eagerEngine } from '../../../learning/engine/eager.ts';
import type { Engine } from '../../../learning/engine/engine.ts';
import { modelOf } from '../../../learning/model.ts';
import { wrapAroundBatches } from '../../../learning/pool/batches.ts';
import type { SharedRound } from '../../../learning/pool/jobs/shared-train.ts';
import type { StatisticsInput } from '../../../learning/pool/jobs/statistics.ts';
import { createPool } from '../../../learning/pool/pool.ts';
import type { TrainingPool } from '../../../learning/pool/scheduler.ts';
import {
  drawStep,
  initialState,
  parametersIn,
  scalarsAt,
  stateNames,
  trainProgram,
} from '../../../learning/train-step.ts';
import { addWords, checkReport } from '../../../protocol/fixed-point.ts';
import { flatten, unflatten } from '../../../protocol/flatten.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { stream } from '../../../protocol/random.ts';
import { buildReport, openSum } from '../../../protocol/report.ts';
import { type Exchange, exchangesOf } from '../../../protocol/sections.ts';
import { float32, type NamedArrays } from '../../../protocol/tensors.ts';
import { sharedStatistics } from '../../../server/strategies/shared-statistics.ts';
import { deviation } from '../../reference/arrays.ts';
import { globalModel, tinyImages, tinyPlan } from '../learning/pool/tiny.ts';

let pool: TrainingPool;
let engine: Engine;
beforeAll(async () => {
  pool = await createPool({ workers: 0, engine: 'eager:cpu' });
  engine = await eagerEngine('cpu');
});
afterAll(async () => {
  await pool.close();
  await engine.close();
});

const BATCH = 4;
/** A large ε, so that a coordinate without a gradient does not amplify what rounding leaves of it. */
const ADAM = { name: 'adam', learningRate: 0.01, beta1: 0.8, beta2: 0.9, epsilon: 1e-2, weightDecay: 0.1 };
const planOf = (strategy: object, training: object = {}, changes: object = {}): Plan =>
  tinyPlan(
    {
      strategy: { name: 'shared-statistics', ...strategy },
      rounds: { count: 8, cohort: 4, maxCohort: 4 },
      privacy: { mode: 'sealed', clipNorm: 300, weights: 'uniform' },
      ...changes,
    },
    { steps: 1, batch: BATCH, optimiser: ADAM, ...training },
  );

interface Standing {
  readonly model: NamedArrays;
  readonly state: NamedArrays;
  readonly loss: number;
}

const begin = (plan: Plan): Standing => ({
  model: globalModel(plan),
  state: sharedStatistics.init(plan, modelOf(plan).reportShape),
  loss: 0,
});

/** One round of these participants, as reports in the ring. */
async function round(plan: Plan, sources: readonly SourceSpec[], number: number, before: Standing): Promise<Standing> {
  const { aggregated, reportShape } = modelOf(plan);
  const [measure, train] = exchangesOf(plan, reportShape) as [Exchange, Exchange];
  const global = flatten(before.model, aggregated);
  const inputs = sources.map(
    (source, k): StatisticsInput => ({
      plan,
      model: before.model,
      source,
      seed: 'seed',
      participant: `p${k}`,
      round: number,
      attempt: 1,
    }),
  );
  const sumOf = (exchange: Exchange, reports: readonly Int32Array[]) => {
    const sum = new Int32Array(reports[0]!.length);
    for (const words of reports) {
      checkReport(exchange, words, plan.rounds.maxCohort);
      addWords(sum, words);
    }
    return openSum(plan, exchange, sum);
  };
  const measured = await Promise.all(inputs.map((input) => pool.run('statistics', input)));
  const first = sharedStatistics.apply(before.state, {
    plan,
    round: number,
    exchange: measure,
    aggregate: sumOf(
      measure,
      measured.map(({ statistics, examples }) => buildReport(plan, measure, { statistics }, examples)),
    ),
    global,
  });
  const trained = await Promise.all(
    inputs.map((input, k) => {
      const shared = { ...first.broadcast, own: measured[k]!.statistics } as unknown as SharedRound;
      return pool.run('train', { ...input, shared });
    }),
  );
  const aggregate = sumOf(
    train,
    trained.map(({ delta, loss, examples }) =>
      buildReport(plan, train, { delta, 'metrics/loss': Float32Array.of(loss) }, examples),
    ),
  );
  const { state, global: next } = sharedStatistics.apply(first.state, {
    plan,
    round: number,
    exchange: train,
    aggregate,
    global,
  });
  return { model: unflatten(next!, aggregated), state, loss: aggregate.metrics.loss! };
}

/** Everybody's images of a round in the order of the participants, and the draws of each side by side. */
async function pooled(plan: Plan, sources: readonly SourceSpec[], number: number): Promise<NamedArrays> {
  const parts = await Promise.all(
    sources.map(async (spec, k) => {
      const source = await openSource(spec, plan.data);
      const next = wrapAroundBatches(source.length, BATCH, stream('seed', 'batches', `p${k}`, number, 1));
      const { image } = await source.read(next());
      return { 'batch/images': image, ...drawStep(plan, stream('seed', 'draws', `p${k}`, number, 1)) } as NamedArrays;
    }),
  );
  return Object.fromEntries(
    Object.entries(parts[0]!).map(([name, { shape }]) => {
      expect(shape[0]).toBe(BATCH);
      const data = Float32Array.from(parts.flatMap((part) => [...part[name]!.data]));
      return [name, float32([BATCH * sources.length, ...shape.slice(1)], data)];
    }),
  );
}

/** As many steps of centralised training on the pooled batches of the rounds. */
async function centralised(plan: Plan, sources: readonly SourceSpec[], rounds: number): Promise<Standing> {
  const central: Plan = { ...plan, training: { ...plan.training, batch: BATCH * sources.length } };
  const program = trainProgram(central);
  const step = await engine.load(program);
  await step.set(initialState(central, modelOf(plan).init(plan.seed)));
  let loss = 0;
  for (let r = 0; r < rounds; r++) {
    const outputs = await step.run({ ...(await pooled(plan, sources, r)), ...scalarsAt(plan, r) });
    loss = outputs['metrics/loss']!.data[0]!;
  }
  return { model: parametersIn(await step.get(stateNames(program))), state: {}, loss };
}

const ROUNDS = 3;
async function federated(plan: Plan, sources: readonly SourceSpec[], rounds = ROUNDS): Promise<Standing> {
  let standing = begin(plan);
  for (let r = 0; r < rounds; r++) standing = await round(plan, sources, r, standing);
  return standing;
}

/** How far two models are apart, relative to how far the first is from the start. */
function apart(plan: Plan, a: Standing, b: Standing): number {
  const { aggregated } = modelOf(plan);
  const start = flatten(globalModel(plan), aggregated);
  const way = (standing: Standing) => flatten(standing.model, aggregated).map((v, i) => v - start[i]!);
  return deviation(way(a), way(b));
}

const restricted = (images: SourceSpec, parts: readonly (readonly number[])[]): SourceSpec[] =>
  parts.map((indices) => ({ ...images, indices: Int32Array.from(indices) }));
const images = tinyImages(4 * BATCH);
const everyIndex = Array.from({ length: 4 * BATCH }, (_, i) => i);
/** `tinyImages` has class i % 4. */
const PARTITIONS: Readonly<Record<string, readonly (readonly number[])[]>> = {
  'one class each': [0, 1, 2, 3].map((c) => everyIndex.filter((i) => i % 4 === c)),
  'all classes each': [0, 1, 2, 3].map((k) => everyIndex.slice(k * BATCH, (k + 1) * BATCH)),
};
const AUGMENTED = {
  augmentation: { name: 'image', crop: [0.5, 1], brightness: 0.4, contrast: 0.3, erase: { probability: 0.5 } },
};

describe('exact mode', () => {
  it.each(Object.entries(PARTITIONS))(
    '%s: rounds are steps of centralised training on the pooled batches',
    async (_name, parts) => {
      const plan = planOf({}, { schedule: { name: 'cosine', warmupRounds: 1 } }, AUGMENTED);
      const sources = restricted(images, parts);
      const ours = await federated(plan, sources);
      const theirs = await centralised(plan, sources, ROUNDS);
      expect(apart(plan, ours, theirs)).toBeLessThan(2e-5);
      expect(Math.abs(ours.loss - theirs.loss)).toBeLessThan(1e-5);
    },
  );

  it('who holds what makes no difference', async () => {
    // without augmentation everybody's batches are the same images in every partition
    const plan = planOf({}, {}, { augmentation: { name: 'image', crop: [1, 1] } });
    const [skewed, even] = Object.values(PARTITIONS).map((parts) => restricted(images, parts)) as [
      SourceSpec[],
      SourceSpec[],
    ];
    const ours = await federated(plan, skewed);
    expect(apart(plan, ours, await federated(plan, even))).toBeLessThan(2e-5);
    // plain averaging of what each would do alone is something else
    const alone = await Promise.all(skewed.map((source) => federated(plan, [source])));
    expect(apart(plan, ours, alone[0]!)).toBeGreaterThan(0.1);
  });

  it('for one participant it is plain spectral training, whatever its weight', async () => {
    const weights = { privacy: { mode: 'sealed', clipNorm: 300, weights: 'examples', maxExamples: 20 } };
    const plan = planOf({}, {}, { ...AUGMENTED, ...weights });
    const sources = [tinyImages(11)];
    expect(apart(plan, await federated(plan, sources), await centralised(plan, sources, ROUNDS))).toBeLessThan(2e-5);
  });

  it('clips the mean gradient as one machine would', async () => {
    const plan = planOf({}, { clipGradient: 0.05 }, AUGMENTED);
    const sources = restricted(images, PARTITIONS['one class each']!);
    const ours = await federated(plan, sources);
    expect(apart(plan, ours, await centralised(plan, sources, ROUNDS))).toBeLessThan(2e-5);
    expect(apart(plan, ours, await federated(planOf({}, {}, AUGMENTED), sources))).toBeGreaterThan(0.01);
  });

  it('an attempt that is repeated measures and trains on another batch', async () => {
    const plan = planOf({}, {}, AUGMENTED);
    const input = { plan, model: globalModel(plan), source: images, seed: 1, participant: 'p', round: 0, attempt: 1 };
    const { statistics } = await pool.run('statistics', input);
    expect((await pool.run('statistics', input)).statistics).toEqual(statistics);
    expect((await pool.run('statistics', { ...input, attempt: 2 })).statistics).not.toEqual(statistics);
  });
});

describe('local mode', () => {
  const none = { augmentation: { name: 'image', crop: [1, 1] } };
  const sources = restricted(images, PARTITIONS['one class each']!);

  it('one step of round 0 stands for the mean gradient on all data', async () => {
    const local = planOf({ mode: 'local' }, {}, none);
    const exact = planOf({}, {}, none);
    const [a, b] = [await federated(local, sources, 1), await federated(exact, sources, 1)];
    expect(deviation(a.state.m!.data, b.state.m!.data)).toBeLessThan(1e-3);
    expect(Math.abs(a.loss - b.loss)).toBeLessThan(1e-5);
  });

  it('lowers the loss on all data over rounds of two preconditioned steps', async () => {
    const plan = planOf(
      { mode: 'local' },
      {
        steps: 2,
        optimiser: { ...ADAM, learningRate: 0.02, epsilon: 1e-8, weightDecay: 0 },
        schedule: { name: 'constant' },
      },
      none,
    );
    const losses: number[] = [];
    let standing = begin(plan);
    for (let r = 0; r < 8; r++) {
      standing = await round(plan, sources, r, standing);
      losses.push(standing.loss);
    }
    expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.2);
    expect(standing.state.steps!.data[0]).toBe(8);
  });

  it('sends the preconditioner: 1 before anything is known, then the larger the smaller the gradient was', () => {
    const plan = planOf({ mode: 'local' });
    const shape = modelOf(plan).reportShape;
    const [exchange] = exchangesOf(plan, shape);
    const aggregate = { sections: { statistics: new Float32Array(shape.statistics!.length) }, weight: 2, metrics: {} };
    const inputs = { plan, round: 0, exchange: exchange!, aggregate, global: new Float32Array(shape.dimension) };
    const state = sharedStatistics.init(plan, shape);
    const first = sharedStatistics.apply(state, inputs).broadcast!;
    expect(new Set(first.preconditioner!.data)).toEqual(new Set([1]));
    expect(first.weight!.data[0]).toBe(2);
    const v = new Float32Array(shape.dimension).fill(0.04);
    v[0] = 0.01;
    const later = { ...state, v: float32([v.length], v), steps: float32([], Float32Array.of(1)) };
    const factors = sharedStatistics.apply(later, inputs).broadcast!.preconditioner!.data;
    // √v̂ with bias correction 1 − β₂ is √(v / 0.1)
    const root = Math.sqrt(0.4);
    expect(factors.at(-1)!).toBeCloseTo(1 / (root * 1.03 + 1e-2), 3);
    expect(factors[0]!).toBeGreaterThan(1.8 * factors[1]!);
  });
});

describe('a plan that cannot share statistics is refused', () => {
  it.each([
    ['a task without statistics', { pretext: { name: 'simclr' } }, {}, 'strategy.name'],
    ['more than one step in exact mode', {}, { steps: 2 }, 'training.steps'],
    ['another optimiser than adam', {}, { optimiser: { name: 'sgd', learningRate: 0.1 } }, 'training.optimiser.name'],
    ['optimisers of the participants', {}, { optimiserState: 'keep' }, 'training.optimiserState'],
  ] as const)('%s', (_what, changes, training, where) => {
    expect(() => planOf({}, training, changes)).toThrow(expect.objectContaining({ code: 'plan/refused', where }));
  });

  it('clipped gradients in local mode', () => {
    expect(() => planOf({ mode: 'local' }, { clipGradient: 1 })).toThrow(
      expect.objectContaining({ where: 'training.clipGradient' }),
    );
  });
});
