/**
 * RankMe (Garrido et al. 2023): the effective rank of features, exp of the entropy of their singular values. Detects collapse
 * (a few of d dimensions in use) without labels; it does not rank encoders that have not collapsed.
 */
import type { Features } from './features.ts';
import { gram } from './gram.ts';
import { symmetricEigenvalues } from './symmetric-eigen.ts';

/** Added to each share, as in the paper, so that empty dimensions have a logarithm. */
const EPSILON = 1e-7;

/** Singular values of un-centred features, largest first; min(rows, columns) of them. */
export function singularValues(features: Features): Float64Array {
  const n = Math.min(features.rows, features.columns);
  return symmetricEigenvalues(gram(features), n).map((value) => Math.sqrt(Math.max(0, value)));
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
