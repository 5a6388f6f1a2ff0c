/**
 * What divides a step of L-BFGS by the curvature of a linear probe's loss, roughly: an estimate of its Hessian
 * Σᵢ (diag pᵢ − pᵢpᵢᵀ) ⊗ xᵢxᵢᵀ / rows + penalty in principal coordinates. The variables are those of `softmaxLoss`.
 */
import { squareProduct } from './blocked-product.ts';
import { factorise, solveInPlace } from './cholesky.ts';
import type { Division } from './lbfgs.ts';
import { transpose } from './products.ts';
import { BIAS_PENALTY, type SoftmaxLoss } from './softmax-loss.ts';
import { symmetricEigen } from './symmetric-eigen.ts';

export interface CurvatureInput {
  readonly rows: number;
  /** [rows, rank], in the order of `squares`. */
  readonly coordinates: Float64Array;
  /** Per coordinate, its sum of squares over the rows; largest first. */
  readonly squares: Float64Array;
  readonly classes: number;
  readonly penalty: number;
}

/** Before each iteration: what divides by an estimate of the Hessian where the loss was evaluated last. */
export type Curvature = (iteration: number) => Division;

/** From so many rows on, an evaluation of the loss is dear enough for an estimate that is. */
const MANY_ROWS = 1000;
/** Iterations at which that estimate is made. Later ones have seen enough themselves. */
const ESTIMATED = [0, 20];
/** The dearer estimate costs about as much as so many evaluations. */
const EVALUATIONS = 5;

export function curvature(input: CurvatureInput, loss: SoftmaxLoss): Curvature {
  return input.rows < MANY_ROWS ? diagonalCurvature(input, loss) : blockCurvature(input, loss);
}

/**
 * The diagonal of h·XᵀX/rows + penalty, h being the mean of p·(1 − p): the Hessian as it would be if the model were as sure of
 * every row. A bias's curvature is h.
 */
function diagonalCurvature({ rows, squares, classes, penalty }: CurvatureInput, loss: SoftmaxLoss): Curvature {
  return () => {
    const h = loss.spread();
    const inverse = squares.map((square) => 1 / ((h * square) / rows + penalty));
    return (variables) => {
      let at = 0;
      for (let c = 0; c < classes; c++) for (let j = 0; j < inverse.length; j++) variables[at++]! *= inverse[j]!;
      while (at < variables.length) variables[at++]! /= h + BIAS_PENALTY;
    };
  };
}

/** A direction among the classes, and the curvature of the loss along it. */
interface Direction {
  /** A unit vector [classes]. */
  readonly axis: Float64Array;
  /** Cholesky factor over the bias and the first coordinates. */
  readonly factor: Float64Array;
  /** 1 / curvature of each further coordinate. */
  readonly rest: Float64Array;
}

/**
 * Rows count by how unsure the model is of them. The mean of diag p − ppᵀ has principal axes, directions among the classes; along
 * each, exactly as it is over the bias and the coordinates that vary most, and by a diagonal over the others.
 */
function blockCurvature(input: CurvatureInput, loss: SoftmaxLoss): Curvature {
  const rank = input.squares.length;
  const few = Math.min(rank, Math.floor(Math.sqrt(4 * EVALUATIONS * rank)));
  const columns = transpose(firstOf(input, few), input.rows, few);
  let directions: readonly Direction[] = [];
  const divide = (variables: Float64Array): void => {
    const given = variables.slice();
    variables.fill(0);
    for (const direction of directions) divideAlong(direction, given, variables, few);
  };
  return (iteration) => {
    if (ESTIMATED.includes(iteration)) directions = directionsOf(input, loss, columns);
    return divide;
  };
}

/** Adds to `into` the part of `given` along a direction, divided. */
function divideAlong({ axis, factor, rest }: Direction, given: Float64Array, into: Float64Array, few: number): void {
  const rank = few + rest.length;
  const biases = axis.length * rank;
  const along = new Float64Array(rank + 1); // the bias comes first
  axis.forEach((share, c) => {
    along[0]! += share * given[biases + c]!;
    for (let j = 0, at = c * rank; j < rank; j++) along[j + 1]! += share * given[at++]!;
  });
  solveInPlace(factor, few + 1, along);
  for (let j = 0; j < rest.length; j++) along[few + j + 1]! *= rest[j]!;
  axis.forEach((share, c) => {
    into[biases + c]! += share * along[0]!;
    for (let j = 0, at = c * rank; j < rank; j++) into[at++]! += share * along[j + 1]!;
  });
}

/** [rows, few]: the coordinates that vary most. */
function firstOf({ rows, coordinates, squares }: CurvatureInput, few: number): Float64Array {
  const out = new Float64Array(rows * few);
  for (let i = 0; i < rows; i++) out.set(coordinates.subarray(i * squares.length, i * squares.length + few), i * few);
  return out;
}

/** @param columns [few, rows], the coordinates that vary most */
function directionsOf(input: CurvatureInput, { probabilities }: SoftmaxLoss, columns: Float64Array): Direction[] {
  const { rows, squares, classes, penalty } = input;
  const few = columns.length / rows;
  const axes = symmetricEigen(meanCovariance(probabilities, rows, classes), classes).vectors;
  const scaled = new Float64Array((few + 1) * rows); // [1 + few, rows]
  return Array.from({ length: classes }, (_, k) => {
    const axis = axes.subarray(k * classes, (k + 1) * classes);
    let sum = 0;
    for (let i = 0; i < rows; i++) {
      const weight = variance(probabilities, i * classes, axis) / rows;
      sum += weight;
      scaled[i] = Math.sqrt(weight);
    }
    for (let at = 0, from = rows; at < columns.length; from += rows) {
      for (let i = 0; i < rows; i++) scaled[from + i] = scaled[i]! * columns[at++]!;
    }
    const block = squareProduct(scaled, rows);
    for (let j = 0; j <= few; j++) block[j * (few + 2)]! += j === 0 ? BIAS_PENALTY : penalty;
    const rest = squares.subarray(few).map((square) => 1 / ((sum * square) / rows + penalty));
    return { axis, factor: factorise(block, few + 1), rest };
  });
}

/** Variance of axis[class] under the probabilities that begin at `at`. */
function variance(probabilities: Float64Array, at: number, axis: Float64Array): number {
  let [mean, square] = [0, 0];
  for (let c = 0; c < axis.length; c++) {
    const value = probabilities[at + c]! * axis[c]!;
    mean += value;
    square += value * axis[c]!;
  }
  return Math.max(0, square - mean * mean);
}

/** Mean over the rows of diag p − ppᵀ: [classes, classes]. */
function meanCovariance(probabilities: Float64Array, rows: number, classes: number): Float64Array {
  const out = new Float64Array(classes * classes);
  for (let at = 0; at < rows * classes; at += classes) {
    for (let c = 0; c < classes; c++) {
      const p = probabilities[at + c]! / rows;
      out[c * classes + c]! += p;
      for (let d = 0; d < classes; d++) out[c * classes + d]! -= p * probabilities[at + d]!;
    }
  }
  return out;
}
