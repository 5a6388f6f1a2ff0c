/**
 * SimCLR: each view must find its partner among all other views of the batch (NT-Xent, Chen et al. 2020).
 * For the 2B normalised projections with logits zᵢ·zⱼ/τ, j ≠ i: the mean cross-entropy of the partner.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { PretextTask } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';
import { projectViews, splitViews } from './embed-views.ts';
import { projectorGroup, projectorSchema, projectorStack } from './projector.ts';

const schema = z.strictObject({
  name: z.literal('simclr'),
  /** τ; at least 0.05, so that e^(−2/τ) does not vanish in float32. */
  temperature: z.number().min(0.05).default(0.5),
  projector: projectorSchema,
});
type SimclrSpec = z.infer<typeof schema>;

/** Projections of both views [2·batch, d], the second view's rows last → scalar. */
export function ntXent(nn: Ops, projections: Tensor, temperature: number): Tensor {
  const { tf } = nn;
  const rows = projections.shape[0]!;
  const unit = nn.l2Normalise(projections);
  const [first, second] = splitViews(nn, unit, 2) as [Tensor, Tensor];
  // every logit is at most 1/τ: subtracting it from all keeps the exponentials in (0, 1]
  const logits = tf.div(tf.sub(nn.gram(tf.transpose(unit)), 1), temperature); // [2B, 2B]
  const others = tf.sub(1, tf.eye(rows));
  const partition = tf.log(tf.sum(tf.mul(tf.exp(logits), others), -1));
  const partner = tf.div(tf.sub(tf.sum(tf.mul(first, second), -1), 1), temperature); // [B], the same for both directions
  return tf.sub(tf.mean(partition), tf.mean(partner));
}

export const simclr: PretextTask<SimclrSpec> = {
  name: 'simclr',
  paper: 'Chen et al., ICML 2020',
  schema,
  views: 2,
  // logits span 2/τ, and there are 2B − 1 of them
  lossRange: ({ spec, batch }) => [0, 2 / spec.temperature + Math.log(2 * batch - 1)],
  groups: (context) => [projectorGroup(projectorStack(context.spec.projector, context))],
  loss: (nn, inputs, context) => ntXent(nn, projectViews(nn, inputs, context), context.spec.temperature),
};
