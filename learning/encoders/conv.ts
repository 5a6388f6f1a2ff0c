/** Encoder `conv`: 3×3 convolutions, each with group normalisation and relu, then the mean over positions. */
import { z } from 'zod';
import type { TensorSpec } from '../../protocol/tensors.ts';
import type { Encoder } from '../contracts.ts';
import { checkReduction, convNorm, convNormManifest, groupsSchema } from './conv-norm.ts';
import { initialise } from './initialisation.ts';

const KERNEL = 3;

const schema = z
  .strictObject({
    name: z.literal('conv'),
    /** Number of filters of each layer; the last is the length of the embedding. */
    filters: z.array(z.int().min(1).max(4096)).min(1).max(16).default([32, 64, 128]),
    /** Stride of each layer. */
    strides: z.array(z.int().min(1).max(4)).min(1).max(16).default([1, 2, 2]),
    groups: groupsSchema,
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
  manifest: (spec, shape) => {
    checkReduction(shape, spec.strides, 'encoder.strides');
    const layers = spec.filters.map((filters, i): Record<string, TensorSpec> => {
      const channels = i === 0 ? shape[2] : spec.filters[i - 1]!;
      return convNormManifest(i, KERNEL, channels, filters);
    });
    return Object.assign({}, ...layers);
  },
  init: (rng, spec, shape) => initialise(rng, conv.manifest(spec, shape), () => 2),
  apply: (nn, params, x, { strides, groups }) => {
    let hidden = x;
    for (const [i, stride] of strides.entries()) hidden = nn.relu(convNorm(nn, params, i, hidden, { stride, groups }));
    return nn.globalAveragePool(hidden);
  },
};
