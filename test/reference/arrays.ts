/** Seeded arrays for tests, their nested forms in double precision, and how far two of them are apart. */
import type { Rng } from '../../protocol/random.ts';
import { float32, type NamedArrays, type NDArray, sizeOf } from '../../protocol/tensors.ts';
import type { Image, Matrix, NamedWeights, Weights } from './network.ts';

type Numbers = ArrayLike<number>;

export const randomArray = (rng: Rng, shape: readonly number[], scale = 1): NDArray =>
  float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => scale * rng.normal()),
  );

export const toWeights = ({ shape, data }: NDArray): Weights => ({ shape, data: Float64Array.from(data) });

export const toNamedWeights = (arrays: NamedArrays): NamedWeights =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, toWeights(array)]));

export function toMatrix({ shape, data }: { shape: readonly number[]; data: Numbers }): Matrix {
  const columns = shape[1]!;
  return Array.from({ length: shape[0]! }, (_, i) => Array.from({ length: columns }, (_, j) => data[i * columns + j]!));
}

export function toImages({ shape, data }: { shape: readonly number[]; data: Numbers }): Image[] {
  const [count, height, width, channels] = shape as [number, number, number, number];
  let next = 0;
  return Array.from({ length: count }, () =>
    Array.from({ length: height }, () =>
      Array.from({ length: width }, () => Array.from({ length: channels }, () => data[next++]!)),
    ),
  );
}

export const dot = (a: Numbers, b: Numbers): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

/** Largest difference, relative to the largest expected value. */
export function deviation(actual: Numbers, expected: Numbers): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, scale] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const gap = Math.abs(actual[i]! - expected[i]!);
    difference = Number.isNaN(gap) ? Number.POSITIVE_INFINITY : Math.max(difference, gap);
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return difference / (scale || 1);
}

/** Derivative of f at `at` in the direction `along`, by central differences in double precision. */
export function slope(f: (x: Float64Array) => number, at: Numbers, along: Numbers, h = 1e-4): number {
  const moved = (step: number): Float64Array =>
    Float64Array.from({ length: at.length }, (_, i) => at[i]! + step * along[i]!);
  return (f(moved(h)) - f(moved(-h))) / (2 * h);
}
