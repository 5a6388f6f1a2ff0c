/**
 * Products of dense row-major matrices in float64, with several sums side by side that do not wait for one another. What is summed
 * over lies together in both operands: a · bᵀ.
 */

/** Numbers of a row of `a` that are worked on at a time, so that they stay near while all rows of `b` pass. */
const ROWS = 4;

/** out[i, c] = Σ_j a[i, j] · b[c, j]. @param inner length of a row of `a` and of `b` */
export function multiplyTransposed(a: Float64Array, b: Float64Array, inner: number, out: Float64Array): void {
  const rows = inner === 0 ? 0 : a.length / inner;
  const cols = inner === 0 ? 0 : b.length / inner;
  if (inner === 0) out.fill(0);
  const whole = rows - (rows % ROWS);
  for (let i = 0; i < whole; i += ROWS) {
    const p = i * inner;
    let c = 0;
    for (; c + 1 < cols; c += 2) tile(a, b, inner, p, c * inner, out, i * cols + c, cols);
    if (c < cols) for (let k = i; k < i + ROWS; k++) out[k * cols + c] = dotAt(a, k * inner, b, c * inner, inner);
  }
  for (let i = whole; i < rows; i++) {
    for (let c = 0; c < cols; c++) out[i * cols + c] = dotAt(a, i * inner, b, c * inner, inner);
  }
}

/** Four rows of `a`, from p on, times two of `b`, from q on; into `out` from `at` on, whose rows are `cols` long. */
function tile(
  a: Float64Array,
  b: Float64Array,
  inner: number,
  p: number,
  q: number,
  out: Float64Array,
  at: number,
  cols: number,
): void {
  const p1 = p + inner;
  const p2 = p1 + inner;
  const p3 = p2 + inner;
  const q1 = q + inner;
  let s00 = 0;
  let s01 = 0;
  let s10 = 0;
  let s11 = 0;
  let s20 = 0;
  let s21 = 0;
  let s30 = 0;
  let s31 = 0;
  for (let j = 0; j < inner; j++) {
    const m = b[q + j]!;
    const n = b[q1 + j]!;
    const u = a[p + j]!;
    const v = a[p1 + j]!;
    const w = a[p2 + j]!;
    const x = a[p3 + j]!;
    s00 += u * m;
    s01 += u * n;
    s10 += v * m;
    s11 += v * n;
    s20 += w * m;
    s21 += w * n;
    s30 += x * m;
    s31 += x * n;
  }
  out[at] = s00;
  out[at + 1] = s01;
  out[at + cols] = s10;
  out[at + cols + 1] = s11;
  out[at + 2 * cols] = s20;
  out[at + 2 * cols + 1] = s21;
  out[at + 3 * cols] = s30;
  out[at + 3 * cols + 1] = s31;
}

function dotAt(a: Float64Array, p: number, b: Float64Array, q: number, length: number): number {
  let s = 0;
  let t = 0;
  let u = 0;
  let v = 0;
  let j = 0;
  for (; j + 3 < length; j += 4) {
    s += a[p + j]! * b[q + j]!;
    t += a[p + j + 1]! * b[q + j + 1]!;
    u += a[p + j + 2]! * b[q + j + 2]!;
    v += a[p + j + 3]! * b[q + j + 3]!;
  }
  for (; j < length; j++) s += a[p + j]! * b[q + j]!;
  return s + t + (u + v);
}

/** Σ_j a[j] · b[j] */
export const dot = (a: Float64Array, b: Float64Array): number => dotAt(a, 0, b, 0, a.length);

/** [rows, columns] → [columns, rows] */
export function transpose(data: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j]!;
  return out;
}
