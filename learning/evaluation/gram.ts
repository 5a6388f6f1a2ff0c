/** Inner products of features with one another. */
import type { Features } from './features.ts';

/** XᵀX or XXᵀ, whichever is smaller: symmetric, row-major. */
export function gram({ rows, columns, data }: Features): Float64Array {
  const [n, inner, alongN, alongInner] = columns <= rows ? [columns, rows, 1, columns] : [rows, columns, columns, 1];
  const out = new Float64Array(n * n);
  const line = new Float64Array(n);
  for (let k = 0; k < inner; k++) {
    for (let i = 0; i < n; i++) line[i] = data[i * alongN + k * alongInner]!;
    for (let i = 0; i < n; i++) {
      const v = line[i]!;
      if (v === 0) continue;
      for (let j = 0; j <= i; j++) out[i * n + j]! += v * line[j]!;
    }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) out[j * n + i] = out[i * n + j]!;
  return out;
}
