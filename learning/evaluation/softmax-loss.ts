/**
 * The objective of multinomial logistic regression on fixed features: mean cross-entropy + penalty/2 · ‖W‖²
 * (+ BIAS_PENALTY/2 · ‖b‖², so small that it only makes the minimiser unique and finite when a class has no example).
 * Variables: W [classes, columns] row-major, then b [classes].
 */
import type { LabelledFeatures } from './features.ts';
import type { Objective } from './lbfgs.ts';

export const BIAS_PENALTY = 1e-6;

/** out[i, c] = Σ_j a[i, j] · b[c, j], two rows and two columns at a time: four sums that do not wait for one another. */
function multiplyTransposed(a: Float64Array, b: Float64Array, inner: number, out: Float64Array): void {
  const rows = a.length / inner;
  const cols = b.length / inner;
  const dot = (i: number, c: number): void => {
    let sum = 0;
    for (let j = 0, p = i * inner, q = c * inner; j < inner; j++) sum += a[p + j]! * b[q + j]!;
    out[i * cols + c] = sum;
  };
  for (let i = 0; i + 1 < rows; i += 2) {
    const at = i * inner;
    const below = at + inner;
    for (let c = 0; c + 1 < cols; c += 2) {
      const p = c * inner;
      const q = p + inner;
      let w = 0;
      let x = 0;
      let y = 0;
      let z = 0;
      for (let j = 0; j < inner; j++) {
        const u = a[at + j]!;
        const v = a[below + j]!;
        const m = b[p + j]!;
        const n = b[q + j]!;
        w += u * m;
        x += u * n;
        y += v * m;
        z += v * n;
      }
      const o = i * cols + c;
      out[o] = w;
      out[o + 1] = x;
      out[o + cols] = y;
      out[o + cols + 1] = z;
    }
  }
  if (cols % 2 === 1) for (let i = 0; i < rows; i++) dot(i, cols - 1);
  if (rows % 2 === 1) for (let c = 0; c < cols; c++) dot(rows - 1, c);
}

function transpose(data: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j]!;
  return out;
}

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

/** @returns the objective over [classes · columns + classes] variables */
export function softmaxLoss({ features, labels }: LabelledFeatures, classes: number, penalty: number): Objective {
  const { rows, columns } = features;
  const x = Float64Array.from(features.data);
  const xTransposed = transpose(x, rows, columns); // [columns, rows]
  const scores = new Float64Array(rows * classes);
  const residuals = new Float64Array(classes * rows); // transposed
  const size = classes * columns;
  return (variables, gradient) => {
    const weights = variables.subarray(0, size);
    multiplyTransposed(x, weights, columns, scores);
    let loss = 0;
    for (let i = 0; i < rows; i++) {
      const label = labels[i]!;
      for (let c = 0; c < classes; c++) scores[i * classes + c]! += variables[size + c]!;
      loss += softmaxRow(scores, i * classes, classes, label);
      for (let c = 0; c < classes; c++) {
        residuals[c * rows + i] = (scores[i * classes + c]! - (c === label ? 1 : 0)) / rows;
      }
    }
    loss /= rows;
    multiplyTransposed(residuals, xTransposed, rows, gradient.subarray(0, size));
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
}
