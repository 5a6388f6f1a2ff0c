/**
 * Encoder `conv`: 3×3 convolutions, each with group normalisation and relu, then the mean over positions.
 * GroupNorm, since batch statistics of private data are data; no bias before it, since it has an offset of its own.
 */
import { z } from 'zod';
import { TacitError } from '../../protocol/errors.ts';
import type { NDArray, TensorSpec } from '../../protocol/tensors.ts';
import type { Encoder } from '../contracts.ts';
import { constant, scaledNormal } from './initialisation.ts';

const KERNEL = 3;

const schema = z
  .strictObject({
    name: z.literal('conv'),
    /** Number of filters of each layer; the last is the length of the embedding. */
    filters: z.array(z.int().min(1).max(4096)).min(1).max(16).default([32, 64, 128]),
    /** Stride of each layer. */
    strides: z.array(z.int().min(1).max(4)).min(1).max(16).default([1, 2, 2]),
    /** Groups of the normalisation; must divide every number of filters. */
    groups: z.int().min(1).default(8),
  })
  .refine((spec) => spec.strides.length === spec.filters.length, {
    path: ['strides'],
    message: 'must have one entry per layer, as `filters` has',
  })
  .refine((spec) => spec.filters.every((f) => f % spec.groups === 0), {
    path: ['groups'],
    message: 'must divide every number of filters',
  });
type ConvSpec = z.infer<typeof schema>;

export const conv: Encoder<ConvSpec> = {
  name: 'conv',
  schema,
  dim: (spec) => spec.filters.at(-1)!,
  manifest: (spec, [height, width, channels]) => {
    const reduction = spec.strides.reduce((product, stride) => product * stride, 1);
    if (Math.min(height, width) < reduction)
      throw new TacitError('plan/refused', `an image of ${height}×${width} cannot be reduced ${reduction}-fold`, {
        where: 'encoder.strides',
        hint: 'Use smaller strides, or larger images.',
      });
    const manifest: Record<string, TensorSpec> = {};
    for (const [i, filters] of spec.filters.entries()) {
      const input = i === 0 ? channels : spec.filters[i - 1]!;
      manifest[`conv${i}/kernel`] = { shape: [KERNEL, KERNEL, input, filters], dtype: 'float32' };
      manifest[`norm${i}/scale`] = { shape: [filters], dtype: 'float32' };
      manifest[`norm${i}/offset`] = { shape: [filters], dtype: 'float32' };
    }
    return manifest;
  },
  init: (rng, spec, shape) => {
    const arrays: Record<string, NDArray> = {};
    for (const [name, { shape: dims }] of Object.entries(conv.manifest(spec, shape))) {
      arrays[name] = name.endsWith('/kernel')
        ? scaledNormal(rng, dims, KERNEL * KERNEL * dims[2]!, 2)
        : constant(dims, name.endsWith('/scale') ? 1 : 0);
    }
    return arrays;
  },
  apply: (nn, params, x, spec) => {
    let hidden = x;
    for (const [i, stride] of spec.strides.entries()) {
      hidden = nn.conv2d(hidden, params[`conv${i}/kernel`]!, { stride, padding: 'same' });
      hidden = nn.groupNorm(hidden, params[`norm${i}/scale`]!, params[`norm${i}/offset`]!, spec.groups);
      hidden = nn.relu(hidden);
    }
    return nn.globalAveragePool(hidden);
  },
};
