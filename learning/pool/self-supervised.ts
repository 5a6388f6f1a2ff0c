/** The loop that every self-supervised training shares: batches and draws from seeded streams, one run of the step each. */
import { TacitError } from '../../protocol/errors.ts';
import type { Plan } from '../../protocol/plan.ts';
import { type Rng, stream } from '../../protocol/random.ts';
import type { NamedArrays } from '../../protocol/tensors.ts';
import type { DataSource } from '../data/source.ts';
import type { Executable } from '../engine/engine.ts';
import { drawStep } from '../train-step.ts';
import { wrapAroundBatches } from './batches.ts';

export interface Streams {
  readonly batches: Rng;
  readonly draws: Rng;
}

/** The two streams of one training; `parts` name it, such as participant, round and attempt. */
export const trainingStreams = (seed: number | string, ...parts: readonly (number | string)[]): Streams => ({
  batches: stream(seed, 'batches', ...parts),
  draws: stream(seed, 'draws', ...parts),
});

export interface Steps {
  readonly plan: Plan;
  readonly source: DataSource;
  readonly streams: Streams;
  readonly count: number;
  /** `scalars/…` of a step. */
  scalars(step: number): NamedArrays;
  onStep(done: number, loss: number): void;
}

/** @throws TacitError data/too-few-examples */
export function requireEnough(source: DataSource, { data }: Plan): void {
  if (source.length >= data.minExamples) return;
  const found = `the data source holds ${source.length} examples, the plan requires at least ${data.minExamples}`;
  throw new TacitError('data/too-few-examples', found);
}

/**
 * Exactly `count` steps, each on exactly `plan.training.batch` images.
 * @returns the loss of each step
 * @throws TacitError report/not-finite as soon as a loss is NaN or infinite
 */
export async function runSteps(
  step: Executable,
  { plan, source, streams, count, scalars, onStep }: Steps,
): Promise<Float64Array> {
  const next = wrapAroundBatches(source.length, plan.training.batch, streams.batches);
  const losses = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const { image } = await source.read(next());
    const feeds = { 'batch/images': image, ...drawStep(plan, streams.draws), ...scalars(i) };
    const loss = (await step.run(feeds))['metrics/loss']?.data[0] ?? Number.NaN;
    if (!Number.isFinite(loss)) {
      throw new TacitError('report/not-finite', `the loss of local step ${i + 1} is ${loss}`, {
        hint: 'A smaller learning rate, or training.clipGradient, keeps training from diverging.',
      });
    }
    losses[i] = loss;
    onStep(i + 1, loss);
  }
  return losses;
}

export const meanOf = (values: Float64Array): number => values.reduce((sum, v) => sum + v, 0) / values.length;
