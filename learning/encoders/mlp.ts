/**
 * Encoder `mlp`: the image's pixels through dense layers with layer normalisation and relu.
 * Right for images of a few pixels (8×8 digits), where it trains several times faster than a convolution.
 */
import { z } from 'zod';
import { sizeOf } from '../../protocol/tensors.ts';
import type { Encoder, ImageShape } from '../contracts.ts';
import { type DenseStack, denseApply, denseInit, denseManifest } from './dense-stack.ts';

const width = z.int().min(1).max(8192);

const schema = z.strictObject({
  name: z.literal('mlp'),
  /** Widths of the hidden layers. */
  hidden: z.array(width).max(8).default([256, 256]),
  /** Length of the embedding. */
  dim: width.default(128),
  normalisation: z.enum(['layer', 'none']).default('layer'),
});
type MlpSpec = z.infer<typeof schema>;

const stackOf = (spec: MlpSpec, shape: ImageShape): DenseStack => ({
  widths: [sizeOf(shape), ...spec.hidden, spec.dim],
  normalisation: spec.normalisation,
});

export const mlp: Encoder<MlpSpec> = {
  name: 'mlp',
  schema,
  dim: (spec) => spec.dim,
  manifest: (spec, shape) => denseManifest(stackOf(spec, shape)),
  init: (rng, spec, shape) => denseInit(rng, stackOf(spec, shape)),
  apply: (nn, params, x, spec) => {
    const shape = x.shape.slice(1) as unknown as ImageShape;
    return denseApply(nn, params, nn.tf.reshape(x, [-1, sizeOf(shape)]), stackOf(spec, shape));
  },
};
