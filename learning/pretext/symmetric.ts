/**
 * A symmetric matrix as its upper triangle, row by row: half the numbers. What is off the diagonal stands for two entries and is
 * multiplied by √2, so that the L2 norm of the packed values is the Frobenius norm of the matrix.
 */

/** Numbers in the upper triangle of a [side, side] matrix. */
export const packedLength = (side: number): number => (side * (side + 1)) / 2;

/** @param matrix row-major [side, side]; its upper triangle is read */
export function packSymmetric(matrix: ArrayLike<number>, side: number): Float32Array {
  const packed = new Float32Array(packedLength(side));
  let at = 0;
  for (let i = 0; i < side; i++) {
    packed[at++] = matrix[i * side + i]!;
    for (let j = i + 1; j < side; j++) packed[at++] = matrix[i * side + j]! * Math.SQRT2;
  }
  return packed;
}

/** @returns row-major [side, side] */
export function unpackSymmetric(packed: ArrayLike<number>, side: number): Float32Array {
  const matrix = new Float32Array(side * side);
  let at = 0;
  for (let i = 0; i < side; i++) {
    matrix[i * side + i] = packed[at++]!;
    for (let j = i + 1; j < side; j++) {
      const value = packed[at++]! / Math.SQRT2;
      matrix[i * side + j] = value;
      matrix[j * side + i] = value;
    }
  }
  return matrix;
}
