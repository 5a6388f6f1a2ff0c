/**
 * Curvature for L-BFGS to start from: features that say much the same make logistic regression ill-conditioned, and hundreds of
 * iterations become tens when directions are measured by M = XᵀX/(rows · classes) + penalty · I, which is about the Hessian where all
 * classes are as likely. Solved by Cholesky, M = L·Lᵀ. The minimum is the same; only the way there is shorter.
 */
import type { Features } from './features.ts';

/** L of a symmetric positive definite [n, n], row-major; what is above its diagonal is 0. */
function cholesky(matrix: Float64Array, n: number): Float64Array {
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = matrix[i * n + j]!;
      for (let k = 0; k < j; k++) rest -= lower[i * n + k]! * lower[j * n + k]!;
      lower[i * n + j] = i === j ? Math.sqrt(rest) : rest / lower[j * n + j]!;
    }
  }
  return lower;
}

/** Replaces b, of length n, by the solution x of L·Lᵀ·x = b. */
function solveCholesky(lower: Float64Array, b: Float64Array): void {
  const n = b.length;
  for (let i = 0; i < n; i++) {
    let rest = b[i]!;
    for (let k = 0; k < i; k++) rest -= lower[i * n + k]! * b[k]!;
    b[i] = rest / lower[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    const x = b[i]! / lower[i * n + i]!;
    b[i] = x;
    for (let k = 0; k < i; k++) b[k]! -= lower[i * n + k]! * x;
  }
}

/**
 * @param products XᵀX of features [rows, columns]
 * @returns divides variables [classes · columns + classes] by M in place, class by class; a bias's curvature is 1/classes
 */
export function curvature(
  products: Float64Array,
  { rows, columns }: Features,
  classes: number,
  penalty: number,
): (direction: Float64Array) => void {
  const matrix = products.map((value) => value / (rows * classes));
  for (let j = 0; j < columns; j++) matrix[j * columns + j]! += penalty;
  const lower = cholesky(matrix, columns);
  return (direction) => {
    for (let c = 0; c < classes; c++) solveCholesky(lower, direction.subarray(c * columns, (c + 1) * columns));
    for (let c = classes * columns; c < direction.length; c++) direction[c]! *= classes;
  };
}
