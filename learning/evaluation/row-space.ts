/** An orthonormal basis of the span of a matrix's rows, by Gram–Schmidt with one repetition ("twice is enough"). */
import type { Features } from './features.ts';

export interface RowSpace {
  /** The rows in that basis: [rows, rank]; X = coordinates · basis. */
  readonly coordinates: Features;
  /** Vectors [count, rank] in the basis → the same vectors in the original columns [count, columns]. */
  expand(vectors: Float64Array, count: number): Float64Array;
}

/** A row whose remainder is below this fraction of its norm lies in the span of the rows before it. */
const DEPENDENT = 1e-10;

export function rowSpace({ rows, columns, data }: Features): RowSpace {
  const basis: Float64Array[] = [];
  const onto: Float64Array[] = [];
  for (let i = 0; i < rows; i++) {
    const rest = Float64Array.from(data.subarray(i * columns, (i + 1) * columns));
    const coordinates = new Float64Array(rows);
    const before = Math.sqrt(dot(rest, rest));
    for (let pass = 0; pass < 2; pass++) {
      for (let b = 0; b < basis.length; b++) {
        const q = basis[b]!;
        const along = dot(rest, q);
        coordinates[b]! += along;
        for (let j = 0; j < columns; j++) rest[j]! -= along * q[j]!;
      }
    }
    const norm = Math.sqrt(dot(rest, rest));
    if (norm > DEPENDENT * before) {
      coordinates[basis.length] = norm;
      basis.push(rest.map((v) => v / norm));
    }
    onto.push(coordinates);
  }
  const rank = basis.length;
  const coordinates = new Float64Array(rows * rank);
  for (let i = 0; i < rows; i++) coordinates.set(onto[i]!.subarray(0, rank), i * rank);
  const expand = (vectors: Float64Array, count: number): Float64Array => {
    const out = new Float64Array(count * columns);
    for (let v = 0; v < count; v++) {
      for (let b = 0; b < rank; b++) {
        const scale = vectors[v * rank + b]!;
        const q = basis[b]!;
        for (let j = 0; j < columns; j++) out[v * columns + j]! += scale * q[j]!;
      }
    }
    return out;
  };
  return { coordinates: { rows, columns: rank, data: coordinates }, expand };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let j = 0; j < a.length; j++) sum += a[j]! * b[j]!;
  return sum;
}
