/**
 * Rounding to integers at random, unbiased: ⌊x + U⌋ with U uniform in [0, 1). It can lengthen a vector, so it is repeated until the length
 * is within a bound that half of all attempts keep, whatever the vector. Kairouz, Liu & Steinke 2021 (arXiv 2102.06387), Section 4.1.
 */
import { TacitError } from '../errors.ts';
import type { NoiseSource } from './noise-source.ts';

/** Longest rounded vector of `dimension` integers whose unrounded length is at most `length`, both in ring units; β = e^(−½). */
export function roundedLength(length: number, dimension: number): number {
  const root = Math.sqrt(dimension);
  const likely = Math.sqrt(length * length + dimension / 4 + (length + root / 2));
  return Math.min(length + root, likely);
}

/** Each attempt fails with a probability of at most e^(−½), so that so many fail with 1e-21. */
const MOST_ATTEMPTS = 100;

/** Rounds `values`·scale into `words`, again and again until their length is at most `bound`. */
export function roundWithin(
  values: Float32Array | Float64Array,
  scale: number,
  bound: number,
  source: NoiseSource,
): Int32Array<ArrayBuffer> {
  const words = new Int32Array(values.length);
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    let squares = 0;
    for (let i = 0; i < words.length; i++) {
      const word = Math.floor(values[i]! * scale + source.next());
      words[i] = word;
      squares += word * word;
    }
    if (Math.sqrt(squares) <= bound) return words;
  }
  throw new TacitError('internal', `a report was never shorter than ${bound} after rounding`);
}
