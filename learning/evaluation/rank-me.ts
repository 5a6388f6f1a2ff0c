/**
 * RankMe (Garrido et al. 2023): the effective rank of features, exp of the entropy of their singular values. Detects collapse
 * (a few of d dimensions in use) without labels; it does not rank encoders that have not collapsed.
 */
import type { Features } from './features.ts';
import { symmetricEigenvalues } from './symmetric-eigenvalues.ts';

/** Added to each share, as in the paper, so that empty dimensions have a logarithm. */
const EPSILON = 1e-7;

/** Singular values of un-centred features, largest first; min(rows, columns) of them. */
export function singularValues(features: Features): Float64Array {
  const n = Math.min(features.rows, features.columns);
  return symmetricEigenvalues(gram(features), n).map((value) => Math.sqrt(Math.max(0, value)));
}

/** XᵀX or XXᵀ, whichever is smaller. */
function gram({ rows, columns, data }: Features): Float64Array {
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

/** @returns a number from 1 (all rows parallel) to min(rows, columns); 0 if every feature is zero */
export function rankMe(features: Features): number {
  const values = singularValues(features);
  const total = values.reduce((sum, v) => sum + v, 0);
  if (total === 0) return 0;
  const entropy = values.reduce((sum, v) => {
    const share = v / total + EPSILON;
    return sum - share * Math.log(share);
  }, 0);
  return Math.exp(entropy);
}
