/**
 * Separable resampling by a triangle filter that widens when shrinking (antialiased bilinear), in plain typed-array code,
 * so that Node and every browser give the same values for the same pixels.
 */

/** The part of an axis that is mapped onto the target, in source pixels; it need not start on a pixel. */
export interface AxisWindow {
  readonly start: number;
  readonly length: number;
}

/** For each target pixel, which source pixels contribute and how much; weights sum to 1. */
export interface AxisTaps {
  readonly first: Int32Array;
  readonly weights: readonly Float64Array[];
}

/**
 * Pixel centres lie at half-integers; target pixel i covers `scale` source pixels around its centre, and the filter reaches
 * max(1, scale) to either side. Weights beyond the image's edge are left out, the rest renormalised.
 */
export function axisTaps(source: number, window: AxisWindow, target: number): AxisTaps {
  const scale = window.length / target;
  const reach = Math.max(1, scale);
  const first = new Int32Array(target);
  const weights: Float64Array[] = [];
  for (let i = 0; i < target; i++) {
    const centre = window.start + (i + 0.5) * scale;
    const from = Math.max(0, Math.ceil(centre - reach - 0.5));
    const to = Math.min(source - 1, Math.floor(centre + reach - 0.5));
    const raw = Float64Array.from({ length: to - from + 1 }, (_, j) =>
      Math.max(0, 1 - Math.abs(from + j + 0.5 - centre) / reach),
    );
    const sum = raw.reduce((total, weight) => total + weight, 0);
    first[i] = from;
    weights.push(raw.map((weight) => weight / sum));
  }
  return { first, weights };
}

/** One row of `channels` (1 or 3) interleaved values, resampled along x into `out` at `offset`. */
export function resampleRow(
  row: Float32Array,
  taps: AxisTaps,
  channels: number,
  out: Float32Array,
  offset: number,
): void {
  const resample = channels === 3 ? resampleColours : resampleGreys;
  resample(row, taps, out, offset);
}

function resampleGreys(row: Float32Array, { first, weights }: AxisTaps, out: Float32Array, offset: number): void {
  for (let x = 0; x < weights.length; x++) {
    const taps = weights[x]!;
    const from = first[x]!;
    let sum = 0;
    for (let j = 0; j < taps.length; j++) sum += taps[j]! * row[from + j]!;
    out[offset + x] = sum;
  }
}

function resampleColours(row: Float32Array, { first, weights }: AxisTaps, out: Float32Array, offset: number): void {
  for (let x = 0; x < weights.length; x++) {
    const taps = weights[x]!;
    let p = first[x]! * 3;
    let red = 0;
    let green = 0;
    let blue = 0;
    for (let j = 0; j < taps.length; j++, p += 3) {
      const weight = taps[j]!;
      red += weight * row[p]!;
      green += weight * row[p + 1]!;
      blue += weight * row[p + 2]!;
    }
    out[offset + 3 * x] = red;
    out[offset + 3 * x + 1] = green;
    out[offset + 3 * x + 2] = blue;
  }
}

/** Weighted sum of rows of `rows` ([height, width]), for one target row, into `out` at `offset`. */
export function resampleColumn(
  rows: Float32Array,
  width: number,
  taps: AxisTaps,
  y: number,
  out: Float32Array,
  offset: number,
): void {
  const weights = taps.weights[y]!;
  const from = taps.first[y]! * width;
  for (let x = 0; x < width; x++) {
    let sum = 0;
    for (let j = 0; j < weights.length; j++) sum += weights[j]! * rows[from + j * width + x]!;
    out[offset + x] = sum;
  }
}
