/** Initial weights as plain arrays, seeded; no engine. */
import type { Rng } from '../../protocol/random.ts';
import { float32, type NamedArrays, type NDArray, sizeOf } from '../../protocol/tensors.ts';
import type { Manifest } from '../contracts.ts';

/** Normal with standard deviation √(gain / fanIn): gain 2 before a relu (He et al. 2015), 1 before nothing (LeCun). */
function scaledNormal(rng: Rng, shape: readonly number[], fanIn: number, gain: 1 | 2): NDArray {
  const deviation = Math.sqrt(gain / fanIn);
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => deviation * rng.normal()),
  );
}

const constant = (shape: readonly number[], value: number): NDArray =>
  float32(shape, new Float32Array(sizeOf(shape)).fill(value));

/**
 * Values of every tensor by the last part of its name: a `kernel` is scaled normal over all its axes but the last, with the gain
 * that `gainOf` gives it; a `scale` is one; everything else is zero.
 */
export const initialise = (rng: Rng, manifest: Manifest, gainOf: (name: string) => 1 | 2): NamedArrays =>
  Object.fromEntries(
    Object.entries(manifest).map(([name, { shape }]) => {
      if (name.endsWith('kernel')) return [name, scaledNormal(rng, shape, sizeOf(shape.slice(0, -1)), gainOf(name))];
      return [name, constant(shape, name.endsWith('scale') ? 1 : 0)];
    }),
  );
