/** Initial weights as plain arrays, seeded; no engine. */
import type { Rng } from '../../protocol/random.ts';
import { float32, type NDArray, sizeOf } from '../../protocol/tensors.ts';

/** Normal with standard deviation √(gain / fanIn): gain 2 before a relu (He et al. 2015), 1 before nothing (LeCun). */
export function scaledNormal(rng: Rng, shape: readonly number[], fanIn: number, gain: 1 | 2): NDArray {
  const deviation = Math.sqrt(gain / fanIn);
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => deviation * rng.normal()),
  );
}

export const constant = (shape: readonly number[], value: number): NDArray =>
  float32(shape, new Float32Array(sizeOf(shape)).fill(value));
