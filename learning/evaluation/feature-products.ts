/**
 * The two products that a linear model asks of features again and again, scores = X·Wᵀ and the gradient Rᵀ·X, with the features
 * laid out once. In WebAssembly on vectors of two float64 where there is such, in plain loops otherwise; both add up in an order
 * that depends on nothing but the shape.
 */
import { hasSimd } from '../engine/wasm/support.ts';
import type { Features } from './features.ts';
import { layout, workspaceFor, write } from './matrix-kernel.ts';
import { multiplyTransposed, transpose } from './products.ts';

export interface FeatureProducts {
  /** out[i, c] = Σ_j X[i, j] · weights[c, j] */
  scores(weights: Float64Array, out: Float64Array): void;
  /** out[c, j] = Σ_i residuals[c, i] · X[i, j] */
  gradient(residuals: Float64Array, out: Float64Array): void;
}

/** What a memory of WebAssembly may hold without doubt. */
const MOST_BYTES = 2 ** 31;

function vectorProducts(x: Float64Array, rows: number, columns: number, classes: number): FeatureProducts | undefined {
  const plan = layout();
  const byRow = plan.left(rows, columns);
  const byColumn = plan.left(columns, rows);
  const weightBlock = plan.right(classes, columns);
  const residualBlock = plan.right(classes, rows);
  const scoreBlock = plan.result(byRow, weightBlock);
  const gradientBlock = plan.result(byColumn, residualBlock);
  if (plan.bytes() > MOST_BYTES) return undefined;
  const space = workspaceFor(plan.bytes());
  const { numbers } = space;
  const wide = scoreBlock.stride;
  const owner = {};
  const settle = (): void => {
    if (space.owner === owner) return;
    numbers.fill(0, 0, plan.bytes() / 8);
    write(numbers, byRow, x, columns);
    write(numbers, byColumn, transpose(x, rows, columns), rows);
    space.owner = owner;
  };
  return {
    scores(weights, out) {
      settle();
      write(numbers, weightBlock, weights, columns);
      space.product(byRow, weightBlock, scoreBlock);
      for (let i = 0, at = scoreBlock.at; i < rows; i++, at += wide) {
        for (let c = 0; c < classes; c++) out[i * classes + c] = numbers[at + c]!;
      }
    },
    gradient(residuals, out) {
      settle();
      write(numbers, residualBlock, residuals, rows);
      space.product(byColumn, residualBlock, gradientBlock);
      for (let j = 0, at = gradientBlock.at; j < columns; j++, at += wide) {
        for (let c = 0; c < classes; c++) out[c * columns + j] = numbers[at + c]!;
      }
    },
  };
}

/** The same in plain loops. */
export function plainProducts(x: Float64Array, rows: number, columns: number): FeatureProducts {
  const xTransposed = transpose(x, rows, columns);
  return {
    scores: (weights, out) => multiplyTransposed(x, weights, columns, out),
    gradient: (residuals, out) => multiplyTransposed(residuals, xTransposed, rows, out),
  };
}

/** Products of features [rows, columns] with as many weight vectors as there are classes. */
export function featureProducts({ rows, columns, data }: Features, classes: number): FeatureProducts {
  const x = data instanceof Float64Array ? data : new Float64Array(data);
  return (hasSimd() && vectorProducts(x, rows, columns, classes)) || plainProducts(x, rows, columns);
}
