/** Standardisation by the statistics of some rows: (x − mean) · inverse, per column. */
import type { Features } from './features.ts';

export interface Standardisation {
  readonly mean: Float64Array;
  /** 1 / standard deviation; 0 for a column that does not vary, which is thereby left out. */
  readonly inverse: Float64Array;
}

/** A column whose deviation is below this fraction of its magnitude varies by rounding only. */
const CONSTANT = 1e-6;

/** Mean and population standard deviation of each column. */
export function statisticsOf({ rows, columns, data }: Features): Standardisation {
  const mean = new Float64Array(columns);
  const inverse = new Float64Array(columns);
  for (let i = 0, k = 0; i < rows; i++) for (let j = 0; j < columns; j++, k++) mean[j]! += data[k]! / rows;
  for (let i = 0, k = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, k++) inverse[j]! += (data[k]! - mean[j]!) ** 2 / rows;
  }
  for (let j = 0; j < columns; j++) {
    const deviation = Math.sqrt(inverse[j]!);
    inverse[j] = deviation > CONSTANT * Math.abs(mean[j]!) ? 1 / deviation : 0;
  }
  return { mean, inverse };
}

export function standardise({ rows, columns, data }: Features, { mean, inverse }: Standardisation): Features {
  const out = new Float64Array(rows * columns);
  for (let i = 0, k = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, k++) out[k] = (data[k]! - mean[j]!) * inverse[j]!;
  }
  return { rows, columns, data: out };
}
