/**
 * A convolution followed by group normalisation, under one pair of names: what the convolutional encoders are made of.
 * GroupNorm, since batch statistics of private data are data; no bias before it, since it has an offset of its own.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import { TacitError } from '../../protocol/errors.ts';
import type { TensorSpec } from '../../protocol/tensors.ts';
import type { ImageShape } from '../contracts.ts';
import type { Tensors } from '../engine/engine.ts';
import type { Ops } from '../ops/ops.ts';

/** Groups of the normalisation; must divide every number of filters. */
export const groupsSchema = z.int().min(1).default(8);

/** Tensors of one layer, `conv<at>/…` and `norm<at>/…`, with a square kernel. */
export const convNormManifest = (
  at: string | number,
  kernel: number,
  channels: number,
  filters: number,
): Record<string, TensorSpec> => ({
  [`conv${at}/kernel`]: { shape: [kernel, kernel, channels, filters], dtype: 'float32' },
  [`norm${at}/scale`]: { shape: [filters], dtype: 'float32' },
  [`norm${at}/offset`]: { shape: [filters], dtype: 'float32' },
});

/** x: [b, h, w, c] → [b, ⌈h / stride⌉, ⌈w / stride⌉, filters] */
export function convNorm(
  nn: Ops,
  params: Tensors,
  at: string | number,
  x: Tensor,
  { stride, groups }: { readonly stride: number; readonly groups: number },
): Tensor {
  const convolved = nn.conv2d(x, params[`conv${at}/kernel`]!, { stride, padding: 'same' });
  return nn.groupNorm(convolved, params[`norm${at}/scale`]!, params[`norm${at}/offset`]!, groups);
}

/** @throws TacitError plan/refused if nothing would be left of the image */
export function checkReduction([height, width]: ImageShape, strides: readonly number[], where: string): void {
  const reduction = strides.reduce((product, stride) => product * stride, 1);
  if (Math.min(height, width) >= reduction) return;
  throw new TacitError('plan/refused', `an image of ${height}×${width} cannot be reduced ${reduction}-fold`, {
    where,
    hint:
      where === 'encoder.strides' ? 'Use smaller strides, or larger images.' : 'Use another encoder, or larger images.',
  });
}
