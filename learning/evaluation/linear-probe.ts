/**
 * Linear probe: multinomial logistic regression on frozen features, standardised by the training rows, with an L2 penalty,
 * solved to convergence. Convex, so the answer depends on nothing but its inputs: no learning rate, no seed, no epochs.
 *
 * With fewer rows than columns the problem is solved in the span of the rows, where it is the same problem with fewer
 * variables (the minimiser lies there, and an orthonormal basis leaves the penalty as it is).
 */
import { curvature } from './curvature.ts';
import type { Features, LabelledFeatures } from './features.ts';
import { gram } from './gram.ts';
import { minimise } from './lbfgs.ts';
import { type RowSpace, rowSpace } from './row-space.ts';
import { softmaxLoss } from './softmax-loss.ts';
import { type Standardisation, standardise, statisticsOf } from './standardise.ts';

/** A linear classifier on the features as they were given: score_c(x) = weights[c]·x + bias[c]. */
export interface LinearProbe {
  readonly classes: number;
  readonly columns: number;
  /** [classes, columns] */
  readonly weights: Float64Array;
  /** [classes] */
  readonly bias: Float64Array;
  readonly penalty: number;
  /** Mean cross-entropy on the training rows plus the penalty. */
  readonly loss: number;
  readonly iterations: number;
  readonly gradientNorm: number;
  readonly converged: boolean;
}

export interface ProbeOptions {
  readonly classes: number;
  /** L2 penalty on the weights of standardised features; > 0. The bias is (all but) free. */
  readonly penalty: number;
  /** Convergence: largest component of the gradient. */
  readonly tolerance?: number;
}

/** From how many rows per column on L-BFGS is preconditioned: a division costs columns² for each class, the loss rows · columns. */
const ROWS_PER_COLUMN = 8;

interface Prepared {
  readonly train: LabelledFeatures;
  readonly statistics: Standardisation;
  readonly basis: RowSpace | undefined;
  /** XᵀX of `train`, where there are rows enough that dividing by the curvature costs little beside the loss. */
  readonly products: Float64Array | undefined;
}

function prepare({ features, labels }: LabelledFeatures, classes: number): Prepared {
  if (features.rows === 0) throw new RangeError('linearProbe: there is no training row');
  if (labels.some((label) => label < 0 || label >= classes)) {
    throw new RangeError(`linearProbe: a label lies outside 0 … ${classes - 1}`);
  }
  const statistics = statisticsOf(features);
  const standard = standardise(features, statistics);
  const basis = features.rows >= features.columns ? undefined : rowSpace(standard);
  const inner = basis?.coordinates ?? standard;
  const products = inner.rows >= ROWS_PER_COLUMN * inner.columns ? gram(inner) : undefined;
  return { train: { features: inner, labels }, statistics, basis, products };
}

interface Solution {
  readonly probe: LinearProbe;
  /** The minimiser in the prepared problem's own variables, from which a neighbouring penalty may start. */
  readonly variables: Float64Array;
}

function solve(
  prepared: Prepared,
  { classes, penalty, tolerance = 1e-6 }: ProbeOptions,
  start?: Float64Array,
): Solution {
  if (!(penalty > 0)) throw new RangeError('linearProbe: the penalty must be positive');
  const { train, statistics, basis, products } = prepared;
  const inner = train.features.columns;
  const objective = softmaxLoss(train, classes, penalty);
  const minimum = minimise(objective, start ?? new Float64Array(classes * (inner + 1)), {
    tolerance,
    ...(products ? { precondition: curvature(products, train.features, classes, penalty) } : {}),
  });
  const solved = minimum.x.subarray(0, classes * inner);
  const weights = basis ? basis.expand(solved, classes) : solved.slice();
  const bias = minimum.x.slice(classes * inner);
  const columns = weights.length / classes;
  for (let c = 0; c < classes; c++) {
    for (let j = 0; j < columns; j++) {
      const w = weights[c * columns + j]! * statistics.inverse[j]!;
      weights[c * columns + j] = w;
      bias[c]! -= w * statistics.mean[j]!;
    }
  }
  const { value: loss, iterations, gradientNorm, converged } = minimum;
  const probe = { classes, columns, weights, bias, penalty, loss, iterations, gradientNorm, converged };
  return { probe, variables: minimum.x };
}

/** Fits one probe. @throws RangeError for no rows, a label out of range or a penalty that is not positive */
export function linearProbe(train: LabelledFeatures, options: ProbeOptions): LinearProbe {
  return solve(prepare(train, options.classes), options).probe;
}

/** Fits a probe for each penalty (largest first, each started from the one before); results in the order given. */
export function linearProbes(
  train: LabelledFeatures,
  options: Omit<ProbeOptions, 'penalty'> & { readonly penalties: readonly number[] },
): LinearProbe[] {
  const prepared = prepare(train, options.classes);
  const probes = new Map<number, LinearProbe>();
  let start: Float64Array | undefined;
  for (const penalty of [...options.penalties].sort((a, b) => b - a)) {
    const { probe, variables } = solve(prepared, { ...options, penalty }, start);
    probes.set(penalty, probe);
    start = variables;
  }
  return options.penalties.map((penalty) => probes.get(penalty)!);
}

/** Class with the largest score for each row; the smaller index where two are equal. */
export function predict(probe: LinearProbe, { rows, columns, data }: Features): Int32Array {
  if (columns !== probe.columns)
    throw new RangeError(`predict: ${columns} columns where the probe has ${probe.columns}`);
  const { classes, weights, bias } = probe;
  const labels = new Int32Array(rows);
  for (let i = 0; i < rows; i++) {
    let most = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < classes; c++) {
      let score = bias[c]!;
      for (let j = 0, w = c * columns, x = i * columns; j < columns; j++, w++, x++) score += weights[w]! * data[x]!;
      if (score > most) [most, labels[i]] = [score, c];
    }
  }
  return labels;
}

/** Fraction of equal entries. */
export function agreement(predicted: Int32Array, truth: Int32Array): number {
  let right = 0;
  for (let i = 0; i < truth.length; i++) if (predicted[i] === truth[i]) right++;
  return right / truth.length;
}

/** Fraction of rows that the probe labels correctly. */
export const accuracy = (probe: LinearProbe, { features, labels }: LabelledFeatures): number =>
  agreement(predict(probe, features), labels);

export interface ProbeChoice {
  readonly probe: LinearProbe;
  readonly validationAccuracy: number;
}

/**
 * The probe whose penalty labels the validation rows best; of equally good ones the one with the largest penalty.
 * Validation labels choose the penalty and are never trained on.
 */
export function chooseProbe(
  train: LabelledFeatures,
  validation: LabelledFeatures,
  options: Omit<ProbeOptions, 'penalty'> & { readonly penalties: readonly number[] },
): ProbeChoice {
  const penalties = [...options.penalties].sort((a, b) => b - a);
  const probes = linearProbes(train, { ...options, penalties });
  const scores = probes.map((probe) => accuracy(probe, validation));
  const best = indexOfLargest(scores);
  return { probe: probes[best]!, validationAccuracy: scores[best]! };
}

/** Index of the largest number; the first of equal ones. */
export const indexOfLargest = (scores: readonly number[]): number => scores.indexOf(Math.max(...scores));
