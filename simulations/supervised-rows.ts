/**
 * The rows that train on the labels: from scratch, and fine-tuning of a pre-trained encoder. Same labels, same architecture, same
 * augmentation, same label draws; steps and learning rate are chosen on the validation split, once for all draws of a label count.
 */
import { type LabelCurve, labelCurve } from '../learning/evaluation/label-budget.ts';
import type { FineTuning } from '../learning/fine-tuning.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import type { RowContext } from './rows.ts';

/** One way to train, scored after each of `at` steps. */
interface Candidate {
  readonly tuning: FineTuning;
  readonly at: readonly number[];
}

interface SupervisedRow {
  readonly name: string;
  readonly candidates: readonly Candidate[];
  readonly model?: NamedArrays;
  /** L2 penalty of the probe that `lp-ft` starts from, per label count. */
  readonly penalties?: readonly number[];
}

export interface SupervisedCurve extends LabelCurve {
  /** What the validation split chose, per label count. */
  readonly chosen: readonly string[];
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** accuracies[candidate × step][draw] of one label count, on the validation and the test images. */
interface Scores {
  readonly label: string;
  readonly validation: number[];
  readonly test: number[];
}

function emptyScores({ candidates }: SupervisedRow): Scores[] {
  return candidates.flatMap(({ tuning, at }) =>
    at.map((steps) => ({
      label: `${steps} steps at learning rate ${tuning.optimiser.learningRate}`,
      validation: [],
      test: [],
    })),
  );
}

async function supervisedRow(context: RowContext, row: SupervisedRow): Promise<SupervisedCurve> {
  const { plan, experiment, pool, signal } = context;
  const total = experiment.draws.reduce((n, list) => n + list.length * row.candidates.length, 0);
  let done = 0;

  const scoreDraw = async (i: number, j: number, candidate: Candidate) => {
    const { accuracy } = await pool.run(
      'fine-tune',
      {
        plan,
        tuning: candidate.tuning,
        model: row.model,
        train: { ...experiment.train, indices: experiment.draws[i]![j]! },
        score: { validation: { ...experiment.train, indices: experiment.validation }, test: experiment.test },
        at: candidate.at,
        seed: `${plan.seed}/${row.name}/${i}/${j}`,
        ...(row.penalties ? { penalty: row.penalties[i]! } : {}),
      },
      { signal },
    );
    done += 1;
    context.onProgress(row.name, done / total);
    return accuracy;
  };

  const best = await Promise.all(
    experiment.draws.map(async (list, i) => {
      const scores = emptyScores(row);
      const accuracies = await Promise.all(
        list.map((_, j) => Promise.all(row.candidates.map((candidate) => scoreDraw(i, j, candidate)))),
      );
      for (const byCandidate of accuracies) {
        byCandidate
          .flatMap((accuracy) => accuracy['validation']!.map((value, k) => [value, accuracy['test']![k]!] as const))
          .forEach(([validation, test], k) => {
            scores[k]!.validation.push(validation);
            scores[k]!.test.push(test);
          });
      }
      return scores.reduce((a, b) => (mean(b.validation) > mean(a.validation) ? b : a));
    }),
  );
  return { ...labelCurve(best.map(({ test }) => test)), chosen: best.map(({ label }) => label) };
}

/** Steps and learning rates among which the validation split chooses for training from scratch. */
const SCRATCH_STEPS = [150, 300, 600];
const SCRATCH_RATES = [1e-3, 3e-3];

/** Supervised training of a random encoder: the fair baseline of few-label learning. */
export function scratchRow(context: RowContext, quick: boolean): Promise<SupervisedCurve> {
  const { plan, experiment } = context;
  const rates = quick ? SCRATCH_RATES.slice(0, 1) : SCRATCH_RATES;
  const steps = quick ? SCRATCH_STEPS.slice(0, 1) : SCRATCH_STEPS;
  const candidates = rates.map((learningRate) => ({
    tuning: {
      method: 'full' as const,
      classes: experiment.classes.length,
      batch: plan.fineTuning.batch,
      optimiser: { name: 'adam' as const, learningRate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
    },
    at: steps,
  }));
  return supervisedRow(context, { name: 'scratch', candidates });
}

/** The plan's fine-tuning of a pre-trained encoder. @param penalties what the linear probe of the same encoder chose */
export function fineTunedRow(
  context: RowContext,
  model: NamedArrays,
  penalties: readonly number[],
): Promise<SupervisedCurve> {
  const { plan, experiment } = context;
  const { method, batch, optimiser, steps } = plan.fineTuning;
  const tuning = { method, classes: experiment.classes.length, batch, optimiser };
  return supervisedRow(context, { name: 'fine-tuning', model, penalties, candidates: [{ tuning, at: [steps] }] });
}
