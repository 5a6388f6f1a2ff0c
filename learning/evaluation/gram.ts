/** Inner products of features with one another. */
import type { Features } from './features.ts';

/** Numbers of the inner axis that are taken together, so that sums are read and written once for all of them. */
const LINES = 4;

/** XᵀX or XXᵀ, whichever is smaller: symmetric, row-major. */
export function gram({ rows, columns, data }: Features): Float64Array {
  const [n, inner, alongN, alongInner] = columns <= rows ? [columns, rows, 1, columns] : [rows, columns, columns, 1];
  const out = new Float64Array(n * n);
  const lines = Array.from({ length: LINES }, () => new Float64Array(n));
  const [a, b, c, d] = lines as [Float64Array, Float64Array, Float64Array, Float64Array];
  for (let k = 0; k < inner; k += LINES) {
    lines.forEach((line, at) => {
      for (let i = 0; i < n; i++) line[i] = k + at < inner ? data[i * alongN + (k + at) * alongInner]! : 0;
    });
    for (let i = 0; i < n; i++) {
      const [p, q, r, s] = [a[i]!, b[i]!, c[i]!, d[i]!];
      for (let j = 0, o = i * n; j <= i; j++, o++) out[o]! += p * a[j]! + q * b[j]! + (r * c[j]! + s * d[j]!);
    }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) out[j * n + i] = out[i * n + j]!;
  return out;
}
