/** What the encoder sees: normalised images, and augmented views of them. */
import type { Tensor } from '@tensorflow/tfjs';
import type { Plan } from '../protocol/plan.ts';
import type { Rng } from '../protocol/random.ts';
import type { NamedArrays, NamedSpecs } from '../protocol/tensors.ts';
import type { Tensors } from './engine/engine.ts';
import { augmentationOf } from './methods.ts';
import type { Ops } from './ops/ops.ts';

/** (x − mean) / std of the plan's data contract. x: [n, h, w, c] in [0, 1] */
export function normalise({ tf }: Ops, x: Tensor, plan: Plan): Tensor {
  const { mean, std } = plan.data.normalisation;
  if (mean.every((m) => m === 0) && std.every((s) => s === 1)) return x;
  const channel = (values: readonly number[], i: number): number => values[values.length === 1 ? 0 : i]!;
  const channels = Array.from({ length: Math.max(mean.length, std.length) }, (_, i) => i);
  const scale = tf.tensor1d(channels.map((i) => 1 / channel(std, i)));
  const offset = tf.tensor1d(channels.map((i) => -channel(mean, i) / channel(std, i)));
  return tf.add(tf.mul(x, scale), offset);
}

/** Shapes of the random draws of one view of a batch. */
export const viewSpecs = (plan: Plan, batch = plan.training.batch): NamedSpecs =>
  augmentationOf(plan).specs(plan.augmentation, plan.data.shape, batch);

/** The random draws of one view of a batch. */
export const drawView = (plan: Plan, rng: Rng, batch = plan.training.batch): NamedArrays =>
  augmentationOf(plan).draw(rng, plan.augmentation, plan.data.shape, batch);

/** One augmented and normalised view. images: [batch, h, w, c] in [0, 1] → the same shape */
export const viewOf = (nn: Ops, images: Tensor, draws: Tensors, plan: Plan): Tensor =>
  normalise(nn, augmentationOf(plan).apply(nn, images, draws, plan.augmentation), plan);
