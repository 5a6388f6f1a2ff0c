import type { LabelledFeatures } from '../../../../learning/evaluation/features.ts';
import { stream } from '../../../../protocol/random.ts';

/** Gaussian clusters: `spread` between class centres against unit noise, labels 0, 1, …, classes−1, 0, … */
export function blobs(seed: number, rows: number, columns: number, classes: number, spread: number): LabelledFeatures {
  const centreRng = stream('centres', 'blobs', columns, classes);
  const centres = Float64Array.from({ length: classes * columns }, () => spread * centreRng.normal());
  const rng = stream(seed, 'blobs');
  const labels = Int32Array.from({ length: rows }, (_, i) => i % classes);
  const data = Float64Array.from({ length: rows * columns }, (_, k) => {
    const row = Math.floor(k / columns);
    return centres[labels[row]! * columns + (k % columns)]! + rng.normal();
  });
  return { features: { rows, columns, data }, labels };
}

/** The rows as an array of arrays. */
export const rowsOf = ({ features: { rows, columns, data } }: LabelledFeatures): number[][] =>
  Array.from({ length: rows }, (_, i) => Array.from(data.subarray(i * columns, (i + 1) * columns)));
