/** One step of an augmentation: its random draws, in plain JS, and what they do to images, in the graph. */
import type { Tensor } from '@tensorflow/tfjs';
import type { Rng } from '../../protocol/random.ts';
import type { NamedArrays, NamedSpecs, NDArray } from '../../protocol/tensors.ts';
import type { ImageShape } from '../contracts.ts';
import type { Tensors } from '../engine/engine.ts';
import type { Ops } from '../ops/ops.ts';
import type { ImageSpec } from './image-spec.ts';

export interface Part {
  /** Whether these options change anything; a part that does not draws nothing. */
  active(spec: ImageSpec, shape: ImageShape): boolean;
  specs(spec: ImageSpec, shape: ImageShape, batch: number): NamedSpecs;
  draw(rng: Rng, spec: ImageSpec, shape: ImageShape, batch: number): NamedArrays;
  /** [batch, h, w, c] in [0, 1] → the same */
  apply(nn: Ops, images: Tensor, draws: Tensors): Tensor;
}

/** Zeros of the shapes that a part declares, to be filled in. */
export const blank = <Name extends string>(
  specs: Readonly<Record<Name, NamedSpecs[string]>>,
): Record<Name, NDArray> => {
  const arrays = {} as Record<Name, NDArray>;
  for (const name of Object.keys(specs) as Name[]) {
    const { shape, dtype } = specs[name];
    const length = shape.reduce((n, d) => n * d, 1);
    arrays[name] = { shape, dtype, data: dtype === 'int32' ? new Int32Array(length) : new Float32Array(length) };
  }
  return arrays;
};

export const uniform = (rng: Rng, [low, high]: readonly [number, number]): number => low + (high - low) * rng.next();

/** Uniform on a logarithmic scale: a ratio and its inverse are equally likely. */
export const logUniform = (rng: Rng, [low, high]: readonly [number, number]): number =>
  Math.exp(uniform(rng, [Math.log(low), Math.log(high)]));
