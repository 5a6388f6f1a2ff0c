/**
 * Features in the coordinates of their principal axes: the eigenvectors of XᵀX, found from whichever of XᵀX and XXᵀ is smaller.
 * XᵀX is diagonal there, and what does not vary is left out, so that few rows need few coordinates. Axes are orthonormal: lengths,
 * and a penalty on them, stay as they are.
 */
import { blockedProduct } from './blocked-product.ts';
import type { Features } from './features.ts';
import { gram } from './gram.ts';
import { transpose } from './products.ts';
import { symmetricEigen } from './symmetric-eigen.ts';

export interface PrincipalCoordinates {
  /** [rows, rank]; X = coordinates · axes. */
  readonly coordinates: Features & { readonly data: Float64Array };
  /** Per coordinate, its sum of squares over the rows: the diagonal of XᵀX, largest first. */
  readonly squares: Float64Array;
  /** Vectors [count, rank] in these coordinates → the same vectors in the original columns [count, columns]. */
  expand(vectors: Float64Array, count: number): Float64Array;
}

/** An axis whose sum of squares is below this fraction of the largest is rounding. */
const NOTHING = 1e-13;

export function principalCoordinates(features: Features): PrincipalCoordinates {
  const { rows, columns } = features;
  const x = new Float64Array(features.data);
  const n = Math.min(rows, columns);
  const { values, vectors } = symmetricEigen(gram(features), n);
  const least = NOTHING * values.reduce((most, value) => Math.max(most, value), 0);
  const kept = Array.from(values.keys())
    .filter((k) => values[k]! > least)
    .sort((a, b) => values[b]! - values[a]!);
  const rank = kept.length;
  const squares = Float64Array.from(kept, (k) => values[k]!);
  const basis = new Float64Array(rank * n); // [rank, n]
  kept.forEach((k, at) => {
    basis.set(vectors.subarray(k * n, (k + 1) * n), at * n);
  });
  const inBasis = transpose(basis, rank, n); // [n, rank]
  if (columns <= rows) {
    const data = new Float64Array(rows * rank);
    blockedProduct(x, basis, columns, data);
    const expand = (v: Float64Array, count: number): Float64Array => {
      const out = new Float64Array(count * columns);
      blockedProduct(v, inBasis, rank, out);
      return out;
    };
    return { coordinates: { rows, columns: rank, data }, squares, expand };
  }
  // XXᵀ = U·S²·Uᵀ: the coordinates are U·S, and axis k is uₖᵀ·X / sₖ
  const roots = squares.map(Math.sqrt);
  const data = inBasis.map((u, at) => u * roots[at % rank]!);
  const xTransposed = transpose(x, rows, columns);
  const expand = (v: Float64Array, count: number): Float64Array => {
    const overRows = new Float64Array(count * rows);
    blockedProduct(
      v.map((value, at) => value / roots[at % rank]!),
      inBasis,
      rank,
      overRows,
    );
    const out = new Float64Array(count * columns);
    blockedProduct(overRows, xTransposed, rows, out);
    return out;
  };
  return { coordinates: { rows, columns: rank, data }, squares, expand };
}
