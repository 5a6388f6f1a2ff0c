/** Cholesky factors of symmetric, positive definite matrices, and what they solve. */

/** L with L·Lᵀ = matrix [n, n] row-major, lower triangle; overwrites it. @throws RangeError if it is not positive definite */
export function factorise(matrix: Float64Array, n: number): Float64Array {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j]!;
      for (let k = 0, p = i * n, q = j * n; k < j; k++) sum -= matrix[p++]! * matrix[q++]!;
      if (j < i) matrix[i * n + j] = sum / matrix[j * n + j]!;
      else if (sum > 0) matrix[i * n + i] = Math.sqrt(sum);
      else throw new RangeError(`factorise: the matrix is not positive definite (row ${i})`);
    }
  }
  return matrix;
}

/** Solves L·Lᵀ·x = b for the first n numbers of `b`, in place. */
export function solveInPlace(factor: Float64Array, n: number, b: Float64Array): void {
  for (let i = 0; i < n; i++) {
    let sum = b[i]!;
    for (let k = 0, p = i * n; k < i; k++) sum -= factor[p++]! * b[k]!;
    b[i] = sum / factor[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    const value = b[i]! / factor[i * n + i]!;
    b[i] = value;
    for (let k = 0, p = i * n; k < i; k++) b[k]! -= factor[p++]! * value;
  }
}
