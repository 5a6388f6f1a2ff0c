/**
 * Spectral contrastive loss with clipped norms: L = −(2/B)·Σᵢ⟨c(z₁ᵢ), c(z₂ᵢ)⟩ + ‖R‖²_F with c(z) = z·min(1, √μ/‖z‖) and
 * R = (1/2B)·Σ c(z)c(z)ᵀ over both views. Data of others enter through R alone, a sum of bounded terms (‖c(z)‖² ≤ μ).
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { PretextTask } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';
import { projectViews } from './embed-views.ts';
import { projectorGroup, projectorSchema, projectorStack } from './projector.ts';

const schema = z.strictObject({
  name: z.literal('spectral'),
  /** μ: the largest squared length of a projection. */
  mu: z.number().positive().default(4),
  projector: projectorSchema,
});
type SpectralSpec = z.infer<typeof schema>;

/** Rows of z: [n, d], shortened to √μ where they are longer. √μ/√max(‖z‖², μ) needs no case for ‖z‖ = 0. */
export function clipRows(nn: Ops, rows: Tensor, mu: number): Tensor {
  const { tf } = nn;
  const squared = tf.maximum(tf.sum(tf.square(rows), -1, true), mu);
  return tf.mul(rows, tf.div(Math.sqrt(mu), tf.sqrt(squared)));
}

/** Projections of both views [2·batch, d], the second view's rows last → scalar. */
export function spectralLoss(nn: Ops, projections: Tensor, mu: number): Tensor {
  const { tf } = nn;
  const clipped = clipRows(nn, projections, mu);
  const batch = projections.shape[0]! / 2;
  const [first, second] = [tf.slice(clipped, [0, 0], [batch, -1]), tf.slice(clipped, [batch, 0], [batch, -1])];
  const agreement = tf.mul(tf.sum(tf.mul(first, second)), -2 / batch);
  const correlation = tf.div(nn.matMul(tf.transpose(clipped), clipped), 2 * batch); // [d, d]
  return tf.add(agreement, tf.sum(tf.square(correlation)));
}

export const spectral: PretextTask<SpectralSpec> = {
  name: 'spectral',
  paper: 'HaoChen et al., NeurIPS 2021; with clipped norms: Jing et al. (FedSC), ICML 2024',
  schema,
  views: 2,
  // ⟨c, c⟩ lies in [−μ, μ] and ‖R‖_F in [0, μ]
  lossRange: ({ spec }) => [-2 * spec.mu, 2 * spec.mu + spec.mu ** 2],
  groups: (context) => [projectorGroup(projectorStack(context.spec.projector, context))],
  loss: (nn, inputs, context) => spectralLoss(nn, projectViews(nn, inputs, context), context.spec.mu),
};
