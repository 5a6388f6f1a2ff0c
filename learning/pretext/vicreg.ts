/**
 * VICReg: views agree (invariance), every coordinate varies (variance), no two say the same (covariance); Bardes et al. 2022.
 * L = λ·mean‖z₁ − z₂‖²/D + μ·Σ_views mean_j max(0, 1 − √(Var z_j + 10⁻⁴)) + ν·Σ_views Σ_{i≠j} Cov_ij²/D, on projections as they are.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { PretextTask } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';
import { projectViews, splitViews } from './embed-views.ts';
import { projectorGroup, projectorSchema, projectorStack } from './projector.ts';

const EPSILON = 1e-4;

const schema = z.strictObject({
  name: z.literal('vicreg'),
  /** λ, weight of the distance between the views. */
  invariance: z.number().min(0).default(25),
  /** μ, weight of the standard deviation's hinge at 1. */
  variance: z.number().min(0).default(25),
  /** ν, weight of the covariances. */
  covariance: z.number().min(0).default(1),
  projector: projectorSchema,
});
type VicregSpec = z.infer<typeof schema>;
type Weights = Pick<VicregSpec, 'invariance' | 'variance' | 'covariance'>;

/** Rows z: [n, d] of one view → the hinge of its deviations, and its squared covariances over d. */
function spread({ tf, gram }: Ops, rows: Tensor): { readonly hinge: Tensor; readonly covariances: Tensor } {
  const [n, d] = rows.shape as [number, number];
  const centred = tf.sub(rows, tf.mean(rows, 0, true));
  const variances = tf.div(tf.sum(tf.square(centred), 0), n - 1); // [d]
  const hinge = tf.mean(tf.maximum(tf.sub(1, tf.sqrt(tf.add(variances, EPSILON))), 0));
  const covariance = tf.div(gram(centred), n - 1); // [d, d]
  const others = tf.sub(1, tf.eye(d));
  return { hinge, covariances: tf.div(tf.sum(tf.square(tf.mul(covariance, others))), d) };
}

/** Projections of both views [2·batch, d], the second view's rows last → scalar. */
export function vicregLoss(nn: Ops, projections: Tensor, weights: Weights): Tensor {
  const { tf } = nn;
  const [first, second] = splitViews(nn, projections, 2) as [Tensor, Tensor];
  const [one, two] = [spread(nn, first), spread(nn, second)];
  const distance = tf.mean(tf.squaredDifference(first, second));
  return tf.addN([
    tf.mul(distance, weights.invariance),
    tf.mul(tf.add(one.hinge, two.hinge), weights.variance),
    tf.mul(tf.add(one.covariances, two.covariances), weights.covariance),
  ]);
}

export const vicreg: PretextTask<VicregSpec> = {
  name: 'vicreg',
  paper: 'Bardes, Ponce & LeCun, ICLR 2022',
  schema,
  views: 2,
  // the hinges reach 1 each; distance and covariances have no bound, but at deviations around 1 they are of this size
  lossRange: ({ spec }) => [0, 2 * (spec.variance + 2 * spec.invariance) + 50 * spec.covariance],
  groups: (context) => [projectorGroup(projectorStack(context.spec.projector, context))],
  loss: (nn, inputs, context) => vicregLoss(nn, projectViews(nn, inputs, context), context.spec),
};
