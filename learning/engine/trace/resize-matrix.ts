/** Resizing along one axis as a matrix, with tfjs's rules for where an output pixel looks. */

/** @returns row-major [to, from] */
export function resizeMatrix(
  from: number,
  to: number,
  method: 'bilinear' | 'nearest',
  alignCorners: boolean,
  halfPixelCenters: boolean,
): Float32Array {
  const matrix = new Float32Array(to * from);
  const aligned = alignCorners && to > 1;
  const scale = aligned ? (from - 1) / (to - 1) : from / to;
  for (let row = 0; row < to; row++) {
    const add = (column: number, weight: number): void => {
      matrix[row * from + column] = matrix[row * from + column]! + weight;
    };
    if (method === 'nearest') {
      const at = halfPixelCenters ? scale * (row + 0.5) : scale * row;
      add(Math.min(from - 1, alignCorners ? Math.round(at) : Math.floor(at)), 1);
      continue;
    }
    const at = halfPixelCenters ? scale * (row + 0.5) - 0.5 : scale * row;
    const low = Math.max(0, Math.floor(at));
    const fraction = at - low;
    add(low, 1 - fraction);
    add(Math.min(from - 1, Math.ceil(at)), fraction);
  }
  return matrix;
}
