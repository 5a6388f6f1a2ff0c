/**
 * Label-budget curves: how well a linear probe does on frozen features when only a few labels per class are revealed, over
 * several draws of which ones. The draws are given, so that every row of a table sees the same labelled examples.
 *
 * The validation split is carved from the training examples. Its labels choose the penalty, once for all draws of a label
 * count (the best mean accuracy; of equal ones the largest penalty), and are never trained on; test labels only score. The
 * split may hold more labels than the budget: that is a choice of one number per label count, the same for every row.
 */
import { type LabelledFeatures, selectLabelled } from './features.ts';
import { accuracy, indexOfLargest, linearProbes, predict } from './linear-probe.ts';

/** Accuracies as fractions. */
export interface LabelCurve {
  /** Per label count, over the draws. */
  readonly mean: readonly number[];
  /** Standard deviation over the draws (n − 1); 0 for one draw. */
  readonly sd: readonly number[];
  /** draws[i][j]: label count i, draw j. */
  readonly draws: readonly (readonly number[])[];
}

/** A curve that remembers which test examples each draw got right. */
export interface ScoredCurve extends LabelCurve {
  /** hits[i][j]: [test examples] of label count i, draw j; 1 where the label was right, else 0. */
  readonly hits: readonly (readonly Uint8Array[])[];
}

export interface ProbeCurve extends ScoredCurve {
  /** The penalty that the validation split chose, per label count. */
  readonly penalties: readonly number[];
}

export interface ProbeCurveInput {
  /** Features of the training examples, of which `draws` and `validation` are rows. */
  readonly train: LabelledFeatures;
  readonly test: LabelledFeatures;
  readonly classes: number;
  /** draws[i][j]: the labelled rows of label count i, draw j. */
  readonly draws: readonly (readonly Int32Array[])[];
  readonly validation: Int32Array;
  readonly penalties: readonly number[];
}

/** Mean, standard deviation and the draws themselves. */
export function labelCurve(draws: readonly (readonly number[])[]): LabelCurve {
  const mean = draws.map((values) => values.reduce((sum, v) => sum + v, 0) / values.length);
  const sd = draws.map((values, i) => {
    const squares = values.reduce((sum, v) => sum + (v - mean[i]!) ** 2, 0);
    return values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1));
  });
  return { mean, sd, draws };
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

/** Which of the predicted labels are right: 1, else 0. */
export const hitsOf = (predicted: Int32Array, truth: Int32Array): Uint8Array =>
  Uint8Array.from(truth, (label, i) => (predicted[i] === label ? 1 : 0));

/** The curve of such lists. */
export const scoredCurve = (hits: ScoredCurve['hits']): ScoredCurve => ({
  ...labelCurve(hits.map((list) => list.map((right) => right.reduce((sum, hit) => sum + hit, 0) / right.length))),
  hits,
});

/** @param onDraw called after each draw; whatever it throws ends the curve */
export function probeCurve(
  input: ProbeCurveInput,
  onDraw: (done: number, total: number) => void = () => {},
): ProbeCurve {
  const { train, test, classes, draws } = input;
  const validation = selectLabelled(train, input.validation);
  const penalties = [...input.penalties].sort((a, b) => b - a);
  const total = draws.reduce((n, list) => n + list.length, 0);
  let done = 0;
  const chosen: number[] = [];
  const hits = draws.map((list) => {
    const probes = list.map((rows) => {
      const fitted = linearProbes(selectLabelled(train, rows), { classes, penalties });
      onDraw(++done, total);
      return fitted;
    });
    const best = indexOfLargest(
      penalties.map((_, p) => meanOf(probes.map((fitted) => accuracy(fitted[p]!, validation)))),
    );
    chosen.push(penalties[best]!);
    return probes.map((fitted) => hitsOf(predict(fitted[best]!, test.features), test.labels));
  });
  return { ...scoredCurve(hits), penalties: chosen };
}
