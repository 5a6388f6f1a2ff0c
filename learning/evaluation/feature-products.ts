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
  /** Features as `count` rows of `depth` numbers, what they are multiplied by, and the product. */
  const side = (count: number, depth: number) => {
    const [features, operand] = [plan.left(count, depth), plan.right(classes, depth)];
    return { count, depth, features, operand, sums: plan.result(features, operand) };
  };
  const byRow = side(rows, columns);
  const byColumn = side(columns, rows);
  if (plan.bytes() > MOST_BYTES) return undefined;
  const space = workspaceFor(plan.bytes());
  const { numbers } = space;
  const owner = {};
  const settle = (): void => {
    if (space.owner === owner) return;
    numbers.fill(0, 0, plan.bytes() / 8);
    write(numbers, byRow.features, x, columns);
    write(numbers, byColumn.features, transpose(x, rows, columns), rows);
    space.owner = owner;
  };
  /** out[i · step + c · classStep] = Σ_k features[i, k] · by[c, k] */
  const product = (
    { count, depth, features, operand, sums }: typeof byRow,
    by: Float64Array,
    out: Float64Array,
    step: number,
    classStep: number,
  ): void => {
    settle();
    write(numbers, operand, by, depth);
    space.product(features, operand, sums);
    for (let i = 0, at = sums.at; i < count; i++, at += sums.stride) {
      for (let c = 0; c < classes; c++) out[i * step + c * classStep] = numbers[at + c]!;
    }
  };
  return {
    scores: (weights, out) => product(byRow, weights, out, classes, 1),
    gradient: (residuals, out) => product(byColumn, residuals, out, 1, columns),
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
