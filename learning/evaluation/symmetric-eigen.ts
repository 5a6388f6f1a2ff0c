/**
 * Eigenvalues and eigenvectors of a real symmetric matrix: Householder reduction to tridiagonal form, then QL with implicit shifts
 * (Wilkinson & Reinsch 1971, tred1, tred2, tql1 and tql2). O(n³) once, float64.
 */

/** @param matrix [n, n] row-major, symmetric; left as it is. @returns n eigenvalues, largest first */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  const { diagonal, below } = tridiagonalise(Float64Array.from(matrix), n);
  implicitQl(diagonal, below, n, () => {});
  return diagonal.sort().reverse();
}

export interface SymmetricEigen {
  /** In no particular order. */
  readonly values: Float64Array;
  /** [n, n]: row k is the unit eigenvector of values[k]. */
  readonly vectors: Float64Array;
}

/** @param matrix [n, n] row-major, symmetric; left as it is */
export function symmetricEigen(matrix: Float64Array, n: number): SymmetricEigen {
  const a = Float64Array.from(matrix);
  const { diagonal, below, halves } = tridiagonalise(a, n);
  const vectors = reflections(a, halves, n);
  implicitQl(diagonal, below, n, (i, c, s) => {
    for (let k = i * n, end = k + n; k < end; k++) {
      const low = vectors[k]!;
      const high = vectors[k + n]!;
      vectors[k] = c * low - s * high;
      vectors[k + n] = s * low + c * high;
    }
  });
  return { values: diagonal, vectors };
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** below[i] couples i and i + 1; the last entry is 0. */
  readonly below: Float64Array;
  /** halves[i] = |u|²/2 of the reflection whose vector is left in the first i entries of row i; 0: there is none. */
  readonly halves: Float64Array;
}

/** Reflects away row by row, from the last, everything left of the sub-diagonal; `a` is overwritten. */
function tridiagonalise(a: Float64Array, n: number): Tridiagonal {
  const diagonal = new Float64Array(n);
  const below = new Float64Array(n);
  const halves = new Float64Array(n);
  const p = new Float64Array(n);
  for (let i = n - 1; i > 0; i--) {
    const row = i * n;
    let scale = 0;
    for (let k = 0; k < i; k++) scale = Math.max(scale, Math.abs(a[row + k]!));
    if (i === 1 || scale === 0) {
      below[i - 1] = a[row + i - 1]!;
      continue;
    }
    halves[i] = reflector(a.subarray(row, row + i), scale, below, i - 1);
    if (halves[i]! > 0) applyReflector(a, n, i, halves[i]!, p);
  }
  for (let i = 0; i < n; i++) diagonal[i] = a[i * n + i]!;
  return { diagonal, below, halves };
}

/** The product of the reflections that `tridiagonalise` left in `a`, transposed: its rows become the eigenvectors. */
function reflections(a: Float64Array, halves: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) out[i * n + i] = 1;
  for (let i = 2; i < n; i++) {
    if (halves[i] === 0) continue;
    const u = a.subarray(i * n, i * n + i);
    for (let row = 0; row < i * n; row += n) {
      let along = 0;
      for (let k = 0; k < i; k++) along += out[row + k]! * u[k]!;
      along /= halves[i]!;
      for (let k = 0; k < i; k++) out[row + k]! -= along * u[k]!;
    }
  }
  return out;
}
/** Turns `u` into the Householder vector that keeps only its last entry, which goes to below[at]; returns |u|²/2. */
function reflector(u: Float64Array, scale: number, below: Float64Array, at: number): number {
  let h = 0;
  for (let k = 0; k < u.length; k++) {
    u[k]! /= scale;
    h += u[k]! * u[k]!;
  }
  const f = u[u.length - 1]!;
  const g = f >= 0 ? -Math.sqrt(h) : Math.sqrt(h);
  below[at] = scale * g;
  u[u.length - 1] = f - g;
  return h - f * g;
}

/** A ← A − u qᵀ − q uᵀ on the leading i × i block, u being the first i entries of row i. */
function applyReflector(a: Float64Array, n: number, i: number, h: number, p: Float64Array): void {
  const row = i * n;
  let projection = 0;
  for (let j = 0; j < i; j++) {
    let sum = 0;
    for (let k = 0; k <= j; k++) sum += a[j * n + k]! * a[row + k]!;
    for (let k = j + 1; k < i; k++) sum += a[k * n + j]! * a[row + k]!;
    p[j] = sum / h;
    projection += p[j]! * a[row + j]!;
  }
  const half = projection / (2 * h);
  for (let j = 0; j < i; j++) p[j]! -= half * a[row + j]!;
  for (let j = 0; j < i; j++) {
    const u = a[row + j]!;
    const q = p[j]!;
    for (let k = 0; k <= j; k++) a[j * n + k]! -= u * p[k]! + q * a[row + k]!;
  }
}

/** Turns the vectors of i and i + 1 by an angle of which c is the cosine and s the sine. */
type Rotate = (i: number, c: number, s: number) => void;

/** Diagonalises the tridiagonal matrix in place; `d` ends as the eigenvalues. */
function implicitQl(d: Float64Array, e: Float64Array, n: number, rotate: Rotate): void {
  for (let l = 0; l < n; l++) {
    for (let sweeps = 0; ; sweeps++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]!) > Number.EPSILON * (Math.abs(d[m]!) + Math.abs(d[m + 1]!))) m++;
      if (m === l) break;
      if (sweeps === 60) throw new RangeError('eigenvalues: no convergence; does the matrix hold NaN?');
      sweep(d, e, l, m, rotate);
    }
  }
}

/** One implicit QL sweep over the unreduced block l … m. */
function sweep(d: Float64Array, e: Float64Array, l: number, m: number, rotate: Rotate): void {
  const half = (d[l + 1]! - d[l]!) / (2 * e[l]!);
  const root = Math.hypot(half, 1);
  let g = d[m]! - d[l]! + e[l]! / (half + (half >= 0 ? root : -root));
  let [s, c, p] = [1, 1, 0];
  for (let i = m - 1; i >= l; i--) {
    const f = s * e[i]!;
    const b = c * e[i]!;
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      d[i + 1]! -= p;
      e[m] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1]! - p;
    const t = (d[i]! - g) * s + 2 * c * b;
    p = s * t;
    d[i + 1] = g + p;
    g = c * t - b;
    rotate(i, c, s);
  }
  d[l]! -= p;
  e[l] = g;
  e[m] = 0;
}
