/**
 * A participant's part of the first exchange of strategy `shared-statistics`: the mean statistics of its images at the global model.
 *   exact  of the very batch whose gradient the second exchange asks for: the same streams draw it again there
 *   local  of all its images, each in at least one batch
 */
import { TacitError } from '../../../protocol/errors.ts';
import type { Plan } from '../../../protocol/plan.ts';
import type { NamedArrays } from '../../../protocol/tensors.ts';
import type { DataSource, SourceSpec } from '../../data/source.ts';
import type { Executable } from '../../engine/engine.ts';
import { contextOf } from '../../methods.ts';
import { type Model, modelOf } from '../../model.ts';
import { under } from '../../names.ts';
import { statisticsOf, statisticsProgram } from '../../shared-step.ts';
import { drawStep, scalarsAt, select } from '../../train-step.ts';
import { allFinite, pick } from '../arrays.ts';
import { wrapAroundBatches } from '../batches.ts';
import type { JobContext } from '../job.ts';
import { requireEnough, type Streams, trainingStreams } from '../self-supervised.ts';

export interface StatisticsInput {
  /** Complete (`completePlan`). */
  readonly plan: Plan;
  /** The global model: all aggregated parameters. */
  readonly model: NamedArrays;
  readonly source: SourceSpec;
  /** The participant's own seed. */
  readonly seed: string | number;
  readonly participant: string;
  /** Counted from 0. */
  readonly round: number;
  readonly attempt: number;
}

export interface StatisticsOutput {
  /** As it is sent. */
  readonly statistics: Float32Array;
  /** Examples in the source. */
  readonly examples: number;
}

export const isLocal = ({ strategy }: Plan): boolean =>
  strategy.name === 'shared-statistics' && strategy.mode === 'local';

/** Parameters of the global model as inputs of a program. */
export const parameterInputs = (model: Model, global: NamedArrays): NamedArrays =>
  under('params', select(model, pick(global, model.aggregated, 'the model'), true));

/** Which batch a participant draws. */
export type BatchName = Pick<StatisticsInput, 'seed' | 'participant' | 'round' | 'attempt'>;

/** The streams of the batch that both exchanges of a round in exact mode are about. */
const sharedStreams = ({ seed, participant, round, attempt }: BatchName): Streams =>
  trainingStreams(seed, participant, round, attempt);

/** `batch/images` and `draws/…` of that batch. */
export async function sharedBatch(plan: Plan, source: DataSource, name: BatchName): Promise<NamedArrays> {
  const streams = sharedStreams(name);
  const { image } = await source.read(wrapAroundBatches(source.length, plan.training.batch, streams.batches)());
  return { 'batch/images': image, ...drawStep(plan, streams.draws) };
}

/** Mean statistics over `count` batches. */
async function meanOver(
  program: Executable,
  plan: Plan,
  source: DataSource,
  streams: Streams,
  count: number,
  scalars: NamedArrays,
): Promise<Float64Array> {
  const next = wrapAroundBatches(source.length, plan.training.batch, streams.batches);
  let mean = new Float64Array(0);
  for (let i = 0; i < count; i++) {
    const { image } = await source.read(next());
    const { statistics } = await program.run({ 'batch/images': image, ...drawStep(plan, streams.draws), ...scalars });
    if (i === 0) mean = new Float64Array(statistics!.data.length);
    for (let j = 0; j < mean.length; j++) mean[j]! += statistics!.data[j]! / count;
  }
  return mean;
}

/** @throws TacitError data/too-few-examples, weights/mismatch, report/not-finite, and those of the data source */
export async function statistics(input: StatisticsInput, context: JobContext): Promise<StatisticsOutput> {
  const { plan, round } = input;
  const source = await context.openSource(input.source, plan.data);
  requireEnough(source, plan);
  const program = await context.load(statisticsProgram(plan));
  await program.set(parameterInputs(modelOf(plan), input.model));
  const count = isLocal(plan) ? Math.ceil(source.length / plan.training.batch) : 1;
  const streams = isLocal(plan)
    ? trainingStreams(input.seed, 'statistics', input.participant, round, input.attempt)
    : sharedStreams(input);
  const { 'scalars/learningRate': _, ...scalars } = scalarsAt(plan, round);
  const mean = await meanOver(program, plan, source, streams, count, scalars);
  const packed = statisticsOf(plan).pack(mean, contextOf(plan));
  if (!allFinite([packed])) throw new TacitError('report/not-finite', 'the statistics hold NaN or an infinity');
  return { statistics: packed, examples: source.length };
}
