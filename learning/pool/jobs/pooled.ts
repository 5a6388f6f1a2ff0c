/**
 * The paired control of strategy `shared-statistics` in exact mode: one machine that holds the images of all participants takes a
 * step for each round, on the very images and views that they draw there (common random numbers), weighted as their reports are.
 * It exchanges nothing: the loss on all data is computed and differentiated as it stands.
 */
import { TacitError } from '../../../protocol/errors.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { float32, type NamedArrays, type NDArray } from '../../../protocol/tensors.ts';
import { weightOf } from '../../../protocol/weighting.ts';
import type { DataSource, SourceSpec } from '../../data/source.ts';
import type { Executable } from '../../engine/engine.ts';
import { pretextOf } from '../../methods.ts';
import { modelOf } from '../../model.ts';
import { under, within } from '../../names.ts';
import { pooledTrainProgram } from '../../pooled-step.ts';
import { initialState, parametersIn, scalarsAt, stateNames, viewProgram } from '../../train-step.ts';
import { allFinite, pick } from '../arrays.ts';
import type { JobContext } from '../job.ts';
import { requireEnough } from '../self-supervised.ts';
import { type BatchName, sharedBatch } from './statistics.ts';

/** One participant: what it holds, and the names of its streams. */
export interface Shard extends Pick<BatchName, 'seed' | 'participant'> {
  readonly source: SourceSpec;
}

export interface PooledInput {
  /** Complete (`completePlan`). */
  readonly plan: Plan;
  /** Everybody; all of them are in every step. */
  readonly shards: readonly Shard[];
  /** The attempt at which each round was committed. */
  readonly attempts: readonly number[];
  /** Aggregated parameters to start from; default: the plan's initial ones. */
  readonly model?: NamedArrays;
}

export interface PooledOutput {
  /** All parameters, by `<group>/<name>`. */
  readonly model: NamedArrays;
  /** Of each step. */
  readonly losses: readonly number[];
}

type Opened = Shard & { readonly opened: DataSource };

/** The weight of each image, [participants · batch]: a participant's share of the sum of weights, spread over its batch. */
function imageWeights(plan: Plan, shards: readonly Opened[]): NDArray {
  const { batch } = plan.training;
  const weights = shards.map(({ opened }) => weightOf(plan, opened.length));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const spread = weights.flatMap((weight) => Array.from({ length: batch }, () => weight / total / batch));
  return float32([spread.length], Float32Array.from(spread));
}

/** Arrays of equal shape, one after another along the first axis. */
function stacked(parts: readonly NDArray[]): NDArray {
  const [rows, ...rest] = parts[0]!.shape;
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return float32([rows! * parts.length, ...rest], data);
}

/** `batch/view<i>` of everybody's batches of a round, in the order of the participants. */
async function viewsOf(
  augment: Executable,
  plan: Plan,
  shards: readonly Opened[],
  at: Pick<BatchName, 'round' | 'attempt'>,
): Promise<NamedArrays> {
  const views: NDArray[][] = Array.from({ length: pretextOf(plan).views }, () => []);
  for (const { opened, seed, participant } of shards) {
    const { 'batch/images': images, ...draws } = await sharedBatch(plan, opened, { seed, participant, ...at });
    for (const [i, made] of views.entries()) {
      const { view } = await augment.run({ images: images!, ...under('draws', within(`draws/view${i}`, draws)) });
      made.push(view!);
    }
  }
  return Object.fromEntries(views.map((made, i) => [`batch/view${i}`, stacked(made)]));
}

/** @throws TacitError data/too-few-examples, weights/mismatch, report/not-finite, plan/refused if the task shares no statistics */
export async function pooled(input: PooledInput, context: JobContext): Promise<PooledOutput> {
  const { plan, attempts } = input;
  const { batch } = plan.training;
  const model = modelOf(plan);
  const shards = await Promise.all(
    input.shards.map(async (shard) => ({ ...shard, opened: await context.openSource(shard.source, plan.data) })),
  );
  for (const { opened } of shards) requireEnough(opened, plan);
  const program = pooledTrainProgram(plan, batch * shards.length);
  const augment = await context.load(viewProgram(plan, batch));
  const step = await context.load(program);
  const initial = model.init(plan.seed);
  await step.set(initialState(plan, { ...initial, ...pick(input.model ?? initial, model.aggregated, 'the model') }));
  const weights = imageWeights(plan, shards);
  const losses: number[] = [];
  for (const [round, attempt] of attempts.entries()) {
    const views = await viewsOf(augment, plan, shards, { round, attempt });
    const { 'scalars/learningRate': rate } = scalarsAt(plan, round);
    const outputs = await step.run({ ...views, 'batch/weights': weights, 'scalars/learningRate': rate! });
    const loss = outputs['metrics/loss']!.data[0]!;
    losses.push(loss);
    context.progress({ done: round + 1, total: attempts.length, loss });
  }
  const trained = parametersIn(await step.get(stateNames(program)));
  if (!allFinite(Object.values(trained).map(({ data }) => data))) {
    throw new TacitError('report/not-finite', 'training gave NaN or an infinity');
  }
  return { model: trained, losses };
}
