/**
 * The objective of multinomial logistic regression on fixed features: mean cross-entropy + penalty/2 · ‖W‖²
 * (+ BIAS_PENALTY/2 · ‖b‖², so small that it only makes the minimiser unique and finite when a class has no example).
 * Variables: W [classes, columns] row-major, then b [classes].
 */
import { featureProducts } from './feature-products.ts';
import type { LabelledFeatures } from './features.ts';
import type { Objective } from './lbfgs.ts';

export const BIAS_PENALTY = 1e-6;

/** Turns the scores of row i into probabilities in place; returns log Σ exp(score) − score of `label`. */
function softmaxRow(scores: Float64Array, at: number, classes: number, label: number): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let c = at; c < at + classes; c++) most = Math.max(most, scores[c]!);
  const own = scores[at + label]! - most;
  let sum = 0;
  for (let c = at; c < at + classes; c++) {
    const e = Math.exp(scores[c]! - most);
    scores[c] = e;
    sum += e;
  }
  for (let c = at; c < at + classes; c++) scores[c]! /= sum;
  return Math.log(sum) - own;
}

export interface SoftmaxLoss extends Objective {
  /** Mean of p·(1 − p) over rows and classes where the loss was evaluated last: how much its curvature is of that of all rows alike. */
  spread(): number;
  /** [rows, classes], there; overwritten by the next evaluation. */
  readonly probabilities: Float64Array;
}

/** @returns the objective over [classes · columns + classes] variables */
export function softmaxLoss({ features, labels }: LabelledFeatures, classes: number, penalty: number): SoftmaxLoss {
  const { rows, columns } = features;
  const products = featureProducts(features, classes);
  const scores = new Float64Array(rows * classes);
  const residuals = new Float64Array(classes * rows); // transposed
  const size = classes * columns;
  let spread = 0;
  const objective = (variables: Float64Array, gradient: Float64Array): number => {
    const weights = variables.subarray(0, size);
    products.scores(weights, scores);
    let loss = 0;
    spread = 0;
    for (let i = 0; i < rows; i++) {
      const label = labels[i]!;
      for (let c = 0; c < classes; c++) scores[i * classes + c]! += variables[size + c]!;
      loss += softmaxRow(scores, i * classes, classes, label);
      for (let c = 0; c < classes; c++) {
        const p = scores[i * classes + c]!;
        spread += p * (1 - p);
        residuals[c * rows + i] = (p - (c === label ? 1 : 0)) / rows;
      }
    }
    loss /= rows;
    products.gradient(residuals, gradient);
    for (let k = 0; k < size; k++) {
      const w = weights[k]!;
      gradient[k]! += penalty * w;
      loss += 0.5 * penalty * w * w;
    }
    for (let c = 0; c < classes; c++) {
      const b = variables[size + c]!;
      let sum = BIAS_PENALTY * b;
      for (let i = c * rows; i < (c + 1) * rows; i++) sum += residuals[i]!;
      gradient[size + c] = sum;
      loss += 0.5 * BIAS_PENALTY * b * b;
    }
    return loss;
  };
  return Object.assign(objective, { spread: () => spread / (rows * classes), probabilities: scores });
}
