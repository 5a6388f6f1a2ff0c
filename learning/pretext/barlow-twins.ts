/**
 * Barlow Twins: the cross-correlation of the two views' projections is driven towards the identity (Zbontar et al. 2021).
 * C = ẑ₁ᵀẑ₂/B with coordinates standardised over the batch; L = s·(Σᵢ(1 − C_ii)² + λ·Σ_{i≠j} C_ij²).
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { PretextTask } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';
import { projectViews, splitViews } from './embed-views.ts';
import { projectorGroup, projectorSchema, projectorStack } from './projector.ts';

const schema = z.strictObject({
  name: z.literal('barlow-twins'),
  /** λ, weight of what lies off the diagonal. */
  redundancy: z.number().min(0).default(0.005),
  /** s, of the whole loss. */
  scale: z.number().positive().default(0.1),
  projector: projectorSchema,
});
type BarlowSpec = z.infer<typeof schema>;

/** Projections of both views [2·batch, d], the second view's rows last → scalar. */
export function barlowLoss(
  nn: Ops,
  projections: Tensor,
  { redundancy, scale }: Pick<BarlowSpec, 'redundancy' | 'scale'>,
): Tensor {
  const { tf } = nn;
  const dim = projections.shape[1]!;
  const standard = (view: Tensor): Tensor => nn.batchNorm(view, tf.ones([dim]), tf.zeros([dim]));
  const [first, second] = splitViews(nn, projections, 2).map(standard) as [Tensor, Tensor];
  const correlation = tf.div(nn.matMul(tf.transpose(first), second), first.shape[0]!); // [d, d]
  const identity = tf.eye(dim);
  const weights = tf.add(tf.mul(identity, 1 - redundancy), redundancy); // 1 on the diagonal, λ off it
  return tf.mul(tf.sum(tf.mul(tf.square(tf.sub(identity, correlation)), weights)), scale);
}

export const barlowTwins: PretextTask<BarlowSpec> = {
  name: 'barlow-twins',
  paper: 'Zbontar et al., ICML 2021',
  schema,
  views: 2,
  // correlations lie in [−1, 1]
  lossRange: ({ spec }) => {
    const { dim } = spec.projector;
    return [0, spec.scale * (4 * dim + spec.redundancy * dim * (dim - 1))];
  },
  groups: (context) => [projectorGroup(projectorStack(context.spec.projector, context))],
  loss: (nn, inputs, context) => barlowLoss(nn, projectViews(nn, inputs, context), context.spec),
};
