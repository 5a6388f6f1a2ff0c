/**
 * Features outside any engine: one row of numbers per example, with or without a label. Everything in this folder works on
 * them in float64 with plain loops, so that a score is the same on every platform and needs no engine.
 */

/** A dense row-major matrix [rows, columns]. */
export interface Features {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array | Float64Array;
}

/** Features with a class index (0 … classes−1) for each row. */
export interface LabelledFeatures {
  readonly features: Features;
  readonly labels: Int32Array;
}

/** Checks that the data has rows × columns numbers. @throws RangeError */
export function features(rows: number, columns: number, data: Float32Array | Float64Array): Features {
  if (data.length !== rows * columns) {
    throw new RangeError(`features: ${data.length} numbers are not ${rows} × ${columns}`);
  }
  return { rows, columns, data };
}

/** Copies of the rows `indices`, in that order. */
export function selectRows(source: Features, indices: Int32Array | readonly number[]): Features {
  const { columns } = source;
  const data = new Float64Array(indices.length * columns);
  for (let i = 0; i < indices.length; i++) {
    const row = indices[i]!;
    if (row < 0 || row >= source.rows) throw new RangeError(`features: there is no row ${row}`);
    data.set(source.data.subarray(row * columns, (row + 1) * columns), i * columns);
  }
  return { rows: indices.length, columns, data };
}

/** `selectRows` for features and their labels. */
export function selectLabelled(source: LabelledFeatures, indices: Int32Array | readonly number[]): LabelledFeatures {
  const labels = Int32Array.from(indices, (i) => source.labels[i]!);
  return { features: selectRows(source.features, indices), labels };
}

/** Each row divided by its Euclidean norm; a zero row stays zero. */
export function normaliseRows(source: Features): Features & { readonly data: Float64Array } {
  const { rows, columns } = source;
  const data = Float64Array.from(source.data);
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let j = i * columns; j < (i + 1) * columns; j++) sum += data[j]! * data[j]!;
    const scale = sum > 0 ? 1 / Math.sqrt(sum) : 0;
    for (let j = i * columns; j < (i + 1) * columns; j++) data[j]! *= scale;
  }
  return { rows, columns, data };
}
