/**
 * The rows of the main job's table, each a label-budget curve on the same label draws. Pre-training never sees a label; what is
 * chosen, is chosen on the validation split; test images only score.
 */
import type { LabelledFeatures } from '../learning/evaluation/features.ts';
import { type LabelCurve, labelCurve, type ProbeCurve } from '../learning/evaluation/label-budget.ts';
import type { JobInput, JobName, JobOutput } from '../learning/pool/jobs.ts';
import type { TrainingPool } from '../learning/pool/scheduler.ts';
import type { Plan } from '../protocol/plan.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import type { Experiment } from './experiment.ts';

export interface RowContext {
  readonly plan: Plan;
  readonly experiment: Experiment;
  readonly pool: TrainingPool;
  /** Weights that pre-training starts from instead of random ones. */
  readonly initialModel?: NamedArrays | undefined;
  readonly signal: AbortSignal;
  /** What is being computed, and how far it is (0…1). */
  readonly onProgress: (row: string, fraction: number) => void;
}

/** Features of all training and test images under one encoder; without a model, the raw pixels. */
export interface Embedded {
  readonly train: LabelledFeatures;
  readonly test: LabelledFeatures;
}

/** A job of the pool as part of a row. */
export function run<Name extends JobName>(
  { pool, signal, onProgress }: RowContext,
  row: string,
  name: Name,
  input: JobInput<Name>,
): Promise<JobOutput<Name>> {
  return pool.run(name, input, { signal, onProgress: ({ done, total }) => onProgress(row, done / Math.max(1, total)) });
}

/** Embeds both splits with the encoder of `model`. */
export async function embedSplits(context: RowContext, row: string, model?: NamedArrays): Promise<Embedded> {
  const { plan, experiment } = context;
  const common = { plan, ...(model ? { model } : {}) };
  const [train, test] = await Promise.all([
    run(context, row, 'embed', { ...common, source: experiment.train }),
    run(context, row, 'embed', { ...common, source: experiment.test }),
  ]);
  return {
    train: { features: train, labels: experiment.trainLabels },
    test: { features: test, labels: experiment.testLabels },
  };
}

/** Linear probe on frozen features (or on pixels), at every label count and draw. */
export async function probeRow(context: RowContext, row: string, model?: NamedArrays): Promise<ProbeCurve> {
  const { plan, experiment } = context;
  const { train, test } = await embedSplits(context, row, model);
  return run(context, row, 'probe', {
    train,
    test,
    classes: experiment.classes.length,
    draws: experiment.draws,
    validation: experiment.validation,
    penalties: plan.evaluation.probePenalties,
  });
}

/** What every pre-training starts from, so that rows differ in nothing else. */
export const start = ({ initialModel }: RowContext): { model?: NamedArrays } =>
  initialModel ? { model: initialModel } : {};

/** Steps × batch × participants × rounds: the images that the federated run sees, repetitions and all. */
export const samplesSeen = (plan: Plan): number =>
  plan.rounds.count * plan.training.steps * plan.training.batch * plan.rounds.cohort;

/**
 * The plan for training in one place on batches of this size. Under shared statistics the plan's learning rate is for the batches of
 * everybody together; it is scaled with the batch (Goyal et al. 2017), and averaging trains with a rate of its own anyway.
 */
export function inOnePlace(plan: Plan, batch: number): Plan {
  const { strategy, training, rounds } = plan;
  const { optimiser } = training;
  const share = strategy.name === 'shared-statistics' ? batch / (training.batch * rounds.cohort) : 1;
  const learningRate = optimiser.learningRate * share;
  return { ...plan, training: { ...training, batch, optimiser: { ...optimiser, learningRate } } };
}

/** Each participant alone, on its own images, for as many steps as in the federated run: the mean over the participants. */
export async function localRow(
  context: RowContext,
  shards: readonly Int32Array[],
): Promise<LabelCurve & { readonly alone: readonly (readonly number[])[] }> {
  const { plan, experiment } = context;
  const done = shards.map(() => 0);
  const curves = await Promise.all(
    shards.map(async (indices, k) => {
      const own: RowContext = {
        ...context,
        onProgress: (row, fraction) => {
          done[k] = fraction;
          context.onProgress(row, done.reduce((a, b) => a + b, 0) / shards.length);
        },
      };
      const { model } = await run(own, 'local', 'central', {
        plan: inOnePlace(plan, plan.training.batch),
        source: { ...experiment.train, indices },
        steps: plan.rounds.count * plan.training.steps,
        seed: plan.seed,
        name: `local-${k}`,
        ...start(context),
      });
      return probeRow({ ...context, onProgress: () => {} }, 'local', model);
    }),
  );
  const draws = experiment.draws.map((list, i) =>
    list.map((_, j) => curves.reduce((sum, curve) => sum + curve.draws[i]![j]!, 0) / curves.length),
  );
  return { ...labelCurve(draws), alone: curves.map(({ mean }) => mean) };
}
