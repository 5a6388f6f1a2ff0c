/**
 * Spectral contrastive loss with clipped norms: L = −(2/B)·Σᵢ⟨c(z₁ᵢ), c(z₂ᵢ)⟩ + ‖R‖²_F with c(z) = z·min(1, √μ/‖z‖) and
 * R = (1/2B)·Σ c(z)c(z)ᵀ over both views (HaoChen et al. 2021; clipped as in FedSC, Jing et al. 2024). Data of others enter
 * through R alone, a sum of bounded terms (‖c(z)‖² ≤ μ).
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { PretextContext, PretextTask, Shared, SharedStatistics } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';
import { projectViews, splitViews } from './embed-views.ts';
import { projectorGroup, projectorSchema, projectorStack } from './projector.ts';
import { packedLength, packSymmetric, unpackSymmetric } from './symmetric.ts';

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

/** −(2/B)·Σᵢ⟨c₁ᵢ, c₂ᵢ⟩ of clipped projections [2·batch, d], the second view's rows last → scalar */
function attraction({ tf }: Ops, clipped: Tensor): Tensor {
  const batch = clipped.shape[0]! / 2;
  const [first, second] = [tf.slice(clipped, [0, 0], [batch, -1]), tf.slice(clipped, [batch, 0], [batch, -1])];
  return tf.mul(tf.sum(tf.mul(first, second)), -2 / batch);
}

/** R of clipped projections [n, d] → [d, d] */
const correlationOf = (nn: Ops, clipped: Tensor): Tensor => nn.tf.div(nn.gram(clipped), clipped.shape[0]!);

/** Projections of both views [2·batch, d], the second view's rows last → scalar. */
export function spectralLoss(nn: Ops, projections: Tensor, mu: number): Tensor {
  const { tf } = nn;
  const clipped = clipRows(nn, projections, mu);
  return tf.add(attraction(nn, clipped), tf.sum(tf.square(correlationOf(nn, clipped))));
}

/**
 * A participant's share of the loss on all data: ‖R‖² of everybody, R = Σ pₖRₖ, in place of its own. With R̂ₖ = R + s·(Rₖ − Rₖ(start))
 * held fixed its gradient is ∇attraction + 2⟨R̂ₖ, ∇Rₖ⟩, written as 2⟨R − s·Rₖ(start), Rₖ⟩ + s·‖Rₖ‖² so that nothing need be held.
 * Constants make Σ pₖ·lossₖ at the start of the round the loss on all data.
 */
export function sharedSpectralLoss(
  nn: Ops,
  projections: Tensor,
  mu: number,
  { everybody, own, share }: Shared,
): Tensor {
  const { tf } = nn;
  const clipped = clipRows(nn, projections, mu);
  const correlation = correlationOf(nn, clipped);
  const others = tf.sub(everybody, tf.mul(own, share));
  const linear = tf.sub(tf.mul(tf.sum(tf.mul(others, correlation)), 2), tf.sum(tf.square(everybody)));
  const followed = tf.mul(tf.add(tf.sum(tf.square(correlation)), tf.sum(tf.square(own))), share);
  return tf.add(tf.add(attraction(nn, clipped), linear), followed);
}

/**
 * The loss on all data with a weight wᵢ for each image, Σ wᵢ = 1: −2·Σ wᵢ⟨c₁ᵢ, c₂ᵢ⟩ + ‖R‖²_F, R = ½·Σ wᵢ(c₁ᵢc₁ᵢᵀ + c₂ᵢc₂ᵢᵀ).
 * With wᵢ = pₖ/B for the B images of participant k, these are Σ pₖ·attractionₖ and Σ pₖRₖ.
 * @param weights [batch]
 */
export function weightedSpectralLoss(nn: Ops, projections: Tensor, mu: number, weights: Tensor): Tensor {
  const { tf } = nn;
  const clipped = clipRows(nn, projections, mu);
  const [first, second] = splitViews(nn, clipped, 2) as [Tensor, Tensor];
  const agreement = tf.sum(tf.mul(tf.sum(tf.mul(first, second), -1), weights));
  const halved = tf.reshape(tf.div(tf.concat([weights, weights], 0), 2), [-1, 1]);
  const correlation = nn.matMul(nn.tf.transpose(clipped), tf.mul(clipped, halved));
  return tf.sub(tf.sum(tf.square(correlation)), tf.mul(agreement, 2));
}

const side = (context: PretextContext<SpectralSpec>): number => context.spec.projector.dim;

/** R is a mean of terms of at most μ in Frobenius norm, and all that a participant must know of the others. */
const statistics: SharedStatistics<SpectralSpec> = {
  spec: (context) => ({ shape: [side(context), side(context)], dtype: 'float32' }),
  report: (context) => ({ length: packedLength(side(context)), bound: context.spec.mu }),
  pack: (mean, context) => packSymmetric(mean, side(context)),
  unpack: (packed, context) => unpackSymmetric(packed, side(context)),
  // 2⟨R, Rₖ⟩ − ‖R‖² lies in [−μ², μ²], since R and Rₖ are positive semidefinite
  lossRange: ({ spec }) => [-2 * spec.mu - spec.mu ** 2, 2 * spec.mu + spec.mu ** 2],
  measure: (nn, inputs, context) => correlationOf(nn, clipRows(nn, projectViews(nn, inputs, context), context.spec.mu)),
  loss: (nn, inputs, context, shared) =>
    sharedSpectralLoss(nn, projectViews(nn, inputs, context), context.spec.mu, shared),
  pooledLoss: (nn, inputs, context, weights) =>
    weightedSpectralLoss(nn, projectViews(nn, inputs, context), context.spec.mu, weights),
};

export const spectral: PretextTask<SpectralSpec> = {
  name: 'spectral',
  paper: 'HaoChen et al., NeurIPS 2021; with clipped norms: Jing et al. (FedSC), ICML 2024',
  schema,
  views: 2,
  // ⟨c, c⟩ lies in [−μ, μ] and ‖R‖_F in [0, μ]
  lossRange: ({ spec }) => [-2 * spec.mu, 2 * spec.mu + spec.mu ** 2],
  groups: (context) => [projectorGroup(projectorStack(context.spec.projector, context))],
  loss: (nn, inputs, context) => spectralLoss(nn, projectViews(nn, inputs, context), context.spec.mu),
  statistics,
};
