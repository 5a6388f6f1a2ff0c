/**
 * SwAV: each view must predict to which prototypes the other is assigned (Caron et al. 2020). The assignments, or codes, share the
 * batch out equally among the prototypes (Sinkhorn-Knopp) and are held still: L = −½·Σ_views mean Σ_k q_other,k·log softmax_k(z·c/τ).
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import { float32 } from '../../protocol/tensors.ts';
import type { Group, PretextTask } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';
import { projectViews, splitViews } from './embed-views.ts';
import { projectorGroup, projectorSchema, projectorStack } from './projector.ts';

const schema = z.strictObject({
  name: z.literal('swav'),
  /** K; not more than the batch has images, or some must stay empty. */
  prototypes: z.int().min(2).max(8192).default(64),
  /** τ of the predictions. */
  temperature: z.number().min(0.05).default(0.1),
  /** ε of the codes: the smaller, the harder; at least 0.03, so that e^(−2/ε) does not vanish in float32. */
  epsilon: z.number().min(0.03).default(0.05),
  /** Rounds of Sinkhorn-Knopp. */
  iterations: z.int().min(1).max(20).default(3),
  projector: projectorSchema,
});
type SwavSpec = z.infer<typeof schema>;

/** Averaged like the encoder: a code means nothing where the prototypes differ. */
const prototypeGroup = ({ prototypes, projector: { dim } }: SwavSpec): Group => {
  const shape = [prototypes, dim];
  return {
    name: 'prototypes',
    manifest: { directions: { shape, dtype: 'float32' } },
    init: (rng) => ({
      directions: float32(
        shape,
        Float32Array.from({ length: prototypes * dim }, () => rng.normal() / Math.sqrt(dim)),
      ),
    }),
    trainable: true,
    aggregate: true,
    writeBack: 'global',
    persist: false,
  };
};

/** Cosines of one view with the prototypes, [batch, K] → codes [batch, K]: rows sum to 1, columns to about batch/K. */
export function sinkhornCodes(
  { tf }: Ops,
  cosines: Tensor,
  { epsilon, iterations }: Pick<SwavSpec, 'epsilon' | 'iterations'>,
): Tensor {
  let codes: Tensor = tf.exp(tf.div(tf.sub(cosines, 1), epsilon));
  for (let i = 0; i < iterations; i++) {
    codes = tf.div(codes, tf.sum(codes, 0, true));
    codes = tf.div(codes, tf.sum(codes, 1, true));
  }
  return codes;
}

/** Projections of both views [2·batch, d], the second view's rows last, and prototypes [K, d] of any length → scalar. */
export function swavLoss(
  nn: Ops,
  projections: Tensor,
  prototypes: Tensor,
  options: Pick<SwavSpec, 'temperature' | 'epsilon' | 'iterations'>,
): Tensor {
  const { tf } = nn;
  const cosines = nn.matMul(nn.l2Normalise(projections), tf.transpose(nn.l2Normalise(prototypes))); // [2B, K]
  const [first, second] = splitViews(nn, nn.stopGradient(cosines), 2).map((c) => sinkhornCodes(nn, c, options));
  const codes = tf.concat([second!, first!], 0);
  const predictions = tf.logSoftmax(tf.div(cosines, options.temperature));
  return tf.neg(tf.mean(tf.sum(tf.mul(codes, predictions), -1)));
}

export const swav: PretextTask<SwavSpec> = {
  name: 'swav',
  paper: 'Caron et al., NeurIPS 2020',
  schema,
  views: 2,
  // logits span 2/τ, and there are K of them
  lossRange: ({ spec }) => [0, 2 / spec.temperature + Math.log(spec.prototypes)],
  groups: (context) => [projectorGroup(projectorStack(context.spec.projector, context)), prototypeGroup(context.spec)],
  loss: (nn, inputs, context) =>
    swavLoss(nn, projectViews(nn, inputs, context), inputs.params.prototypes!.directions!, context.spec),
};
