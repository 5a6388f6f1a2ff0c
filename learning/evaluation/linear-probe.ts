/**
 * Linear probe: multinomial logistic regression on frozen features, standardised by the training rows, with an L2 penalty,
 * solved to convergence. Convex, so the answer depends on nothing but its inputs: no learning rate, no seed, no epochs.
 *
 * Solved in principal coordinates, where it is the same problem (the minimiser lies in the span of the rows, and orthonormal axes
 * leave the penalty as it is) with as few variables as there are rows or columns, and a curvature of which a diagonal says much.
 */
import { curvature } from './curvature.ts';
import type { Features, LabelledFeatures } from './features.ts';
import { minimise } from './lbfgs.ts';
import { type PrincipalCoordinates, principalCoordinates } from './principal-coordinates.ts';
import { multiplyTransposed } from './products.ts';
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
  /** Convergence: largest component of the gradient. Without it, 1e-6, or where no step promises to lower the loss by `GAIN`. */
  readonly tolerance?: number;
}

interface Prepared {
  readonly train: LabelledFeatures;
  readonly statistics: Standardisation;
  readonly principal: PrincipalCoordinates;
}

function prepare({ features, labels }: LabelledFeatures, classes: number): Prepared {
  if (features.rows === 0) throw new RangeError('linearProbe: there is no training row');
  if (labels.some((label) => label < 0 || label >= classes)) {
    throw new RangeError(`linearProbe: a label lies outside 0 … ${classes - 1}`);
  }
  const statistics = statisticsOf(features);
  const principal = principalCoordinates(standardise(features, statistics));
  return { train: { features: principal.coordinates, labels }, statistics, principal };
}

/** A lower loss than this is no other probe: ½·E[δᵀ(diag p − ppᵀ)δ] of scores δ away, and scores are some units. */
const GAIN = 1e-10;

/** Pairs that L-BFGS keeps: more of them save iterations, and cost little where there are many rows to go through. */
const memoryFor = (rows: number): number => Math.min(100, Math.max(12, Math.floor(rows / 10)));

interface Solution {
  readonly probe: LinearProbe;
  /** The minimiser in the prepared problem's own variables. */
  readonly variables: Float64Array;
}

function solve(prepared: Prepared, { classes, penalty, tolerance }: ProbeOptions, start?: Float64Array): Solution {
  if (!(penalty > 0)) throw new RangeError('linearProbe: the penalty must be positive');
  const { train, statistics, principal } = prepared;
  const { columns: inner, rows, data: coordinates } = principal.coordinates;
  const objective = softmaxLoss(train, classes, penalty);
  const minimum = minimise(objective, start ?? new Float64Array(classes * (inner + 1)), {
    ...(tolerance === undefined ? { gain: GAIN } : { tolerance }),
    memory: memoryFor(rows),
    precondition: curvature({ rows, coordinates, squares: principal.squares, classes, penalty }, objective),
  });
  const weights = principal.expand(minimum.x.slice(0, classes * inner), classes);
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

/**
 * Where the minimiser for `penalty` may lie: on the line through the two before, along which the logarithm of the penalty runs.
 * (Of labels that can be told apart, weights grow about like that.)
 */
function foresee(solved: readonly Solution[], penalty: number): Float64Array | undefined {
  const [last, before] = [solved.at(-1), solved.at(-2)];
  if (!last || !before) return last?.variables;
  const along = Math.log(last.probe.penalty / penalty) / Math.log(before.probe.penalty / last.probe.penalty);
  return last.variables.map((value, k) => value + along * (value - before.variables[k]!));
}

/** Fits a probe for each penalty (largest first, each started from those before); results in the order given. */
export function linearProbes(
  train: LabelledFeatures,
  options: Omit<ProbeOptions, 'penalty'> & { readonly penalties: readonly number[] },
): LinearProbe[] {
  const prepared = prepare(train, options.classes);
  const solved: Solution[] = [];
  for (const penalty of [...new Set(options.penalties)].sort((a, b) => b - a)) {
    solved.push(solve(prepared, { ...options, penalty }, foresee(solved, penalty)));
  }
  const probes = new Map(solved.map(({ probe }) => [probe.penalty, probe]));
  return options.penalties.map((penalty) => probes.get(penalty)!);
}

/** Class with the largest score for each row; the smaller index where two are equal. */
export function predict(probe: LinearProbe, { rows, columns, data }: Features): Int32Array {
  if (columns !== probe.columns)
    throw new RangeError(`predict: ${columns} columns where the probe has ${probe.columns}`);
  const { classes, weights, bias } = probe;
  const scores = new Float64Array(rows * classes);
  multiplyTransposed(data instanceof Float64Array ? data : new Float64Array(data), weights, columns, scores);
  const labels = new Int32Array(rows);
  for (let i = 0, at = 0; i < rows; i++) {
    let most = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < classes; c++, at++) {
      const score = scores[at]! + bias[c]!;
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
