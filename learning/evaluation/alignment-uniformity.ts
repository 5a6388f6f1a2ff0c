/** Alignment and uniformity on the unit sphere (Wang & Isola 2020); lower is better for both, and both need no labels. */
import { type Features, normaliseRows } from './features.ts';

const squaredDistance = (a: Float64Array, i: number, b: Float64Array, j: number, columns: number): number => {
  let sum = 0;
  for (let k = 0; k < columns; k++) sum += (a[i * columns + k]! - b[j * columns + k]!) ** 2;
  return sum;
};

const unit = (source: Features): Float64Array => Float64Array.from(normaliseRows(source).data);

/** Mean squared distance between the normalised features of two views of the same examples, row by row; 0 to 4. */
export function alignment(first: Features, second: Features): number {
  if (first.rows !== second.rows || first.columns !== second.columns) {
    throw new RangeError('alignment: the two views differ in shape');
  }
  const a = unit(first);
  const b = unit(second);
  let sum = 0;
  for (let i = 0; i < first.rows; i++) sum += squaredDistance(a, i, b, i, first.columns);
  return sum / first.rows;
}

/** log of the mean of exp(−2‖zᵢ − zⱼ‖²) over all pairs i < j of normalised rows; −8 to 0. Needs at least two rows. */
export function uniformity(source: Features): number {
  const { rows, columns } = source;
  if (rows < 2) throw new RangeError('uniformity: needs at least two rows');
  const z = unit(source);
  let sum = 0;
  for (let i = 1; i < rows; i++) for (let j = 0; j < i; j++) sum += Math.exp(-2 * squaredDistance(z, i, z, j, columns));
  return Math.log(sum / ((rows * (rows - 1)) / 2));
}
