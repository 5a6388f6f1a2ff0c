/**
 * Masked autoencoding: what is under the hidden patches? (He et al. 2022). Hidden patches are 0 in the encoder's input, so any encoder
 * can learn this way; a light decoder makes all patches from the embedding alone, which therefore must hold the whole image.
 * L is the mean squared error over hidden patches, each patch's pixels standardised: (x − μ)/√(σ² + 10⁻⁶).
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import { permutation } from '../../protocol/random.ts';
import { float32 } from '../../protocol/tensors.ts';
import type { PretextContext, PretextTask } from '../contracts.ts';
import { type DenseStack, denseApply } from '../encoders/dense-stack.ts';
import type { Ops } from '../ops/ops.ts';
import { fromPatches, patchGrid, toPatches } from '../patches.ts';
import { headGroup } from './projector.ts';

const EPSILON = 1e-6;

const schema = z.strictObject({
  name: z.literal('mae'),
  /** Side of a patch in pixels; must divide height and width. Null: a quarter of the shorter side. */
  patch: z.int().min(1).max(256).nullable().default(null),
  /** Share of the patches that are hidden; at least one is, and one is not. */
  mask: z.number().gt(0).lt(1).default(0.5),
  /** Hidden layers of the decoder, with layer normalisation. */
  decoder: z.strictObject({ hidden: z.array(z.int().min(1).max(8192)).max(4).default([256]) }).prefault({}),
});
type MaeSpec = z.infer<typeof schema>;
type Context = PretextContext<MaeSpec>;

const sideOf = ({ spec, shape }: Context): number =>
  spec.patch ?? Math.max(1, Math.floor(Math.min(shape[0], shape[1]) / 4));

const patchesOf = (context: Context): number => {
  const [rows, columns] = patchGrid(context.shape, sideOf(context), 'pretext.patch');
  return rows * columns;
};

const decoderOf = (context: Context): DenseStack => {
  const { spec, encoder, encoderSpec, shape } = context;
  const pixels = shape[0] * shape[1] * shape[2];
  return { widths: [encoder.dim(encoderSpec), ...spec.decoder.hidden, pixels], normalisation: 'layer' };
};

const maskSpec = (context: Context) => ({ shape: [context.batch, patchesOf(context), 1], dtype: 'float32' }) as const;

/** Patches and what was made of them, [b, p, n] each; hidden: [b, p, 1] of 0 and 1, as many of them in every image → scalar. */
export function maeLoss({ tf }: Ops, patches: Tensor, made: Tensor, hidden: Tensor): Tensor {
  const centred = tf.sub(patches, tf.mean(patches, -1, true));
  const standard = tf.mul(centred, tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), EPSILON)));
  const errors = tf.mean(tf.squaredDifference(made, standard), -1, true); // [b, p, 1]
  return tf.div(tf.sum(tf.mul(errors, hidden)), tf.sum(hidden));
}

export const mae: PretextTask<MaeSpec> = {
  name: 'mae',
  paper: 'He et al., CVPR 2022',
  schema,
  views: 1,
  // standardised pixels have square 1 in the mean
  lossRange: () => [0, 10],
  groups: (context) => {
    patchesOf(context);
    return [headGroup('decoder', decoderOf(context))];
  },
  draws: {
    specs: (context) => ({ hidden: maskSpec(context) }),
    draw: (rng, context) => {
      const { shape } = maskSpec(context);
      const [batch, patches] = shape;
      const count = Math.min(patches - 1, Math.max(1, Math.round(context.spec.mask * patches)));
      const hidden = float32(shape);
      for (let b = 0; b < batch; b++)
        for (const patch of permutation(rng, patches).subarray(0, count)) hidden.data[b * patches + patch] = 1;
      return { hidden };
    },
  },
  loss: (nn, { params, views, draws }, context) => {
    const { shape, encoder, encoderSpec } = context;
    const side = sideOf(context);
    const patches = toPatches(nn, views[0]!, side);
    const seen = fromPatches(nn, nn.tf.mul(patches, nn.tf.sub(1, draws.hidden!)), side, shape);
    const embedded = encoder.apply(nn, params.encoder!, seen, encoderSpec);
    const made = nn.tf.reshape(denseApply(nn, params.decoder!, embedded, decoderOf(context)), patches.shape);
    return maeLoss(nn, patches, made, draws.hidden!);
  },
};
