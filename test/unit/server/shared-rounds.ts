/**
 * Rounds of strategy `shared-statistics` with the participants' jobs, reports in fixed point and the strategy, and the same batches on
 * one machine, in tiny.
 */
import { expect } from 'vitest';
import { openSource } from '../../../learning/data/open.ts';
import type { SourceSpec } from '../../../learning/data/source.ts';
import type { Engine } from '../../../learning/engine/engine.ts';
import { modelOf } from '../../../learning/model.ts';
import { wrapAroundBatches } from '../../../learning/pool/batches.ts';
import type { SharedRound } from '../../../learning/pool/jobs/shared-train.ts';
import type { StatisticsInput } from '../../../learning/pool/jobs/statistics.ts';
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

export const BATCH = 4;
/** A large ε, so that a coordinate without a gradient does not amplify what rounding leaves of it. */
export const ADAM = { name: 'adam', learningRate: 0.01, beta1: 0.8, beta2: 0.9, epsilon: 1e-2, weightDecay: 0.1 };
/** Exact mode unless told otherwise; four participants of one weight. */
export const planOf = (strategy: object, training: object = {}, changes: object = {}): Plan =>
  tinyPlan(
    {
      strategy: { name: 'shared-statistics', ...strategy },
      rounds: { count: 8, cohort: 4, maxCohort: 4 },
      privacy: { mode: 'sealed', clipNorm: 300, weights: 'uniform' },
      ...changes,
    },
    { steps: 1, batch: BATCH, optimiser: ADAM, ...training },
  );

/** Where a training stands. */
export interface Standing {
  readonly model: NamedArrays;
  readonly state: NamedArrays;
  readonly loss: number;
}

export const begin = (plan: Plan): Standing => ({
  model: globalModel(plan),
  state: sharedStatistics.init(plan, modelOf(plan).reportShape),
  loss: 0,
});

/** One round of these participants, as reports in the ring. */
export async function round(
  pool: TrainingPool,
  plan: Plan,
  sources: readonly SourceSpec[],
  number: number,
  before: Standing,
): Promise<Standing> {
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
export async function centralised(
  engine: Engine,
  plan: Plan,
  sources: readonly SourceSpec[],
  rounds: number,
): Promise<Standing> {
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

export const ROUNDS = 3;
export async function federated(
  pool: TrainingPool,
  plan: Plan,
  sources: readonly SourceSpec[],
  rounds = ROUNDS,
): Promise<Standing> {
  let standing = begin(plan);
  for (let r = 0; r < rounds; r++) standing = await round(pool, plan, sources, r, standing);
  return standing;
}

/** How far two models are apart, relative to how far the first is from the start. */
export function apart(plan: Plan, a: Standing, b: Standing): number {
  const { aggregated } = modelOf(plan);
  const start = flatten(globalModel(plan), aggregated);
  const way = (standing: Standing) => flatten(standing.model, aggregated).map((v, i) => v - start[i]!);
  return deviation(way(a), way(b));
}

export const restricted = (images: SourceSpec, parts: readonly (readonly number[])[]): SourceSpec[] =>
  parts.map((indices) => ({ ...images, indices: Int32Array.from(indices) }));
export const images = tinyImages(4 * BATCH);
const everyIndex = Array.from({ length: 4 * BATCH }, (_, i) => i);
/** `tinyImages` has class i % 4. */
export const PARTITIONS: Readonly<Record<string, readonly (readonly number[])[]>> = {
  'one class each': [0, 1, 2, 3].map((c) => everyIndex.filter((i) => i % 4 === c)),
  'all classes each': [0, 1, 2, 3].map((k) => everyIndex.slice(k * BATCH, (k + 1) * BATCH)),
};
export const AUGMENTED = {
  augmentation: { name: 'image', crop: [0.5, 1], brightness: 0.4, contrast: 0.3, erase: { probability: 0.5 } },
};
