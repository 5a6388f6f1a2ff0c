/** Supervised training on the labelled examples of a source, scored on others after given numbers of steps. */
import { TacitError } from '../../../protocol/errors.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { stream } from '../../../protocol/random.ts';
import type { NamedArrays } from '../../../protocol/tensors.ts';
import type { DataSource, SourceSpec } from '../../data/source.ts';
import type { Executable, Program } from '../../engine/engine.ts';
import { hitsOf } from '../../evaluation/label-budget.ts';
import { agreement, linearProbe } from '../../evaluation/linear-probe.ts';
import {
  classify,
  type FineTuning,
  fineTuneFeeds,
  fineTuneProgram,
  fineTuneState,
  headOf,
  zeroHead,
} from '../../fine-tuning.ts';
import { modelOf } from '../../model.ts';
import { within } from '../../names.ts';
import { pick } from '../arrays.ts';
import { wrapAroundBatches } from '../batches.ts';
import { encodeAll, groupsOf, loadEncoder } from '../encode.ts';
import type { JobContext } from '../job.ts';

export interface FineTuneInput {
  readonly plan: Plan;
  readonly tuning: FineTuning;
  /** Weights to start from, of which `encoder/…` are used; absent: a random encoder, by `seed`. */
  readonly model?: NamedArrays | undefined;
  /** The labelled examples; its groups are the classes. */
  readonly train: SourceSpec;
  /** Labelled examples to be scored on, by name. */
  readonly score: Readonly<Record<string, SourceSpec>>;
  /** Numbers of steps after which to score, ascending; the last one ends the training. 0 is before the first. */
  readonly at: readonly number[];
  readonly seed: string | number;
  /** L2 penalty of the probe that `lp-ft` starts from. */
  readonly penalty?: number;
  /** Whether to return the weights. */
  readonly keep?: boolean;
}

export interface FineTuneOutput {
  /** accuracy[name][k]: fraction right after `at[k]` steps. */
  readonly accuracy: Readonly<Record<string, readonly number[]>>;
  /** hits[name][k]: which scored examples were right after `at[k]` steps; 1, else 0. */
  readonly hits: Readonly<Record<string, readonly Uint8Array[]>>;
  /** Class of each scored example after the last step. */
  readonly predictions: Readonly<Record<string, Int32Array>>;
  /** Training loss of the last step; NaN when there was none. */
  readonly loss: number;
  /** `encoder/…` and `head/…` after the last step. */
  readonly model?: NamedArrays;
}

/** Between few-label and many-label probes. */
const PENALTY = 1e-3;

interface Labelled {
  readonly source: DataSource;
  readonly labels: Int32Array;
}

async function openLabelled(spec: SourceSpec, { plan, tuning }: FineTuneInput, context: JobContext): Promise<Labelled> {
  const source = await context.openSource(spec, plan.data);
  const labels = groupsOf(source);
  if (!labels) throw new TacitError('data/unreadable', 'the data source has no labels, and this needs them');
  if (labels.some((label) => label >= tuning.classes)) {
    throw new TacitError('data/wrong-shape', `the data source has more than ${tuning.classes} classes`);
  }
  return { source, labels };
}

async function startingWeights(input: FineTuneInput, train: Labelled, context: JobContext): Promise<NamedArrays> {
  const { plan, tuning, penalty = PENALTY } = input;
  const model = modelOf(plan);
  const encoder = pick(input.model ?? model.init(input.seed), model.encoderSpecs, 'the encoder');
  if (tuning.method !== 'lp-ft') return { ...encoder, ...zeroHead(plan, tuning.classes) };
  const features = await encodeAll(await loadEncoder(plan, encoder, context), train.source);
  return {
    ...encoder,
    ...headOf(linearProbe({ features, labels: train.labels }, { classes: tuning.classes, penalty })),
  };
}

/** Weights as they are now: those of the step, and those that it leaves. */
async function weightsOf(step: Executable, program: Program, start: NamedArrays): Promise<NamedArrays> {
  const trained = Object.keys(program.inputs).filter((name) => name.startsWith('params/'));
  return { ...start, ...within('params', await step.get(trained)) };
}

/** @throws TacitError weights/mismatch, data/too-few-examples, report/not-finite, and those of the data sources */
export async function fineTune(input: FineTuneInput, context: JobContext): Promise<FineTuneOutput> {
  const { plan, tuning, at, seed } = input;
  const train = await openLabelled(input.train, input, context);
  if (train.source.length === 0) throw new TacitError('data/too-few-examples', 'there is no labelled example');
  const scored = await Promise.all(
    Object.entries(input.score).map(async ([name, spec]) => ({ name, ...(await openLabelled(spec, input, context)) })),
  );
  const start = await startingWeights(input, train, context);
  const program = fineTuneProgram(plan, tuning);
  const step = await context.load(program);
  await step.set(fineTuneState(plan, tuning, start));

  const next = wrapAroundBatches(train.source.length, tuning.batch, stream(seed, 'fine-tune', 'batches'));
  const draws = stream(seed, 'fine-tune', 'draws');
  const accuracy: Record<string, number[]> = Object.fromEntries(scored.map(({ name }) => [name, []]));
  const hits: Record<string, Uint8Array[]> = Object.fromEntries(scored.map(({ name }) => [name, []]));
  const predictions: Record<string, Int32Array> = {};
  const total = at.at(-1) ?? 0;
  let weights = start;
  let loss = Number.NaN;
  for (let done = 0; ; done++) {
    if (at.includes(done)) {
      weights = await weightsOf(step, program, start);
      const encoder = await loadEncoder(plan, weights, context);
      for (const { name, source, labels } of scored) {
        predictions[name] = classify(weights, await encodeAll(encoder, source));
        accuracy[name]!.push(agreement(predictions[name], labels));
        hits[name]!.push(hitsOf(predictions[name], labels));
      }
    }
    if (done >= total) break;
    const indices = next();
    const { image } = await train.source.read(indices);
    const labels = indices.map((i) => train.labels[i]!);
    loss = (await step.run(fineTuneFeeds(plan, tuning, image, labels, draws)))['metrics/loss']!.data[0]!;
    if (!Number.isFinite(loss)) throw new TacitError('report/not-finite', `the loss of step ${done + 1} is ${loss}`);
    context.progress({ done: done + 1, total, loss });
  }
  return { accuracy, hits, predictions, loss, ...(input.keep ? { model: weights } : {}) };
}
