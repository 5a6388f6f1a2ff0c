/**
 * The rows that train on the labels: from scratch, and fine-tuning of a pre-trained encoder. Same labels, same architecture, same
 * augmentation, same label draws; steps and learning rate are chosen on the validation split, once for all draws of a label count.
 */
import { type FineTuneCurve, type FineTuneCurveInput, fineTuneCurve } from '../learning/pool/fine-tune-curve.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import type { RowContext } from './rows.ts';

/** Steps and learning rates among which the validation split chooses for training from scratch; twice as many steps gain nothing (docs/main-job.md). */
const SCRATCH = { steps: [75, 150, 300], rates: [1e-3, 3e-3] };
/** Label draws that choose them: of the draws, the first two. */
const TUNING_DRAWS = 2;
const SCRATCH_QUICK = { steps: [150], rates: [1e-3] };

type Choices = Pick<FineTuneCurveInput, 'settings' | 'steps' | 'model' | 'penalties' | 'tuningDraws'>;

function curve(context: RowContext, row: string, choices: Choices): Promise<FineTuneCurve> {
  const { plan, experiment, pool, signal, onProgress } = context;
  const { train, test, draws, validation } = experiment;
  return fineTuneCurve(
    pool,
    { plan, train, test, draws, validation, seed: `${plan.seed}/${row}`, ...choices },
    { signal, onProgress: ({ done, total }) => onProgress(row, done / total) },
  );
}

/** Supervised training of a random encoder: the fair baseline of few-label learning. */
export function scratchRow(context: RowContext, quick: boolean): Promise<FineTuneCurve> {
  const { plan, experiment } = context;
  const { steps, rates } = quick ? SCRATCH_QUICK : SCRATCH;
  const settings = rates.map((learningRate) => ({
    method: 'full' as const,
    classes: experiment.classes.length,
    batch: plan.fineTuning.batch,
    optimiser: { name: 'adam' as const, learningRate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  }));
  return curve(context, 'scratch', { settings, steps, tuningDraws: TUNING_DRAWS });
}

/** The plan's fine-tuning of a pre-trained encoder. @param penalties what the linear probe of the same encoder chose */
export function fineTunedRow(
  context: RowContext,
  model: NamedArrays,
  penalties: readonly number[],
): Promise<FineTuneCurve> {
  const { method, batch, optimiser, steps } = context.plan.fineTuning;
  const setting = { method, classes: context.experiment.classes.length, batch, optimiser };
  return curve(context, 'fine-tuning', { model, penalties, settings: [setting], steps: [steps] });
}
