/** How well each view's prediction points to where the other view's target lies. */
import type { Tensor } from '@tensorflow/tfjs';
import type { Ops } from '../ops/ops.ts';
import { splitViews } from './embed-views.ts';

/**
 * ½·mean cos(p₁, t₂) + ½·mean cos(p₂, t₁), for predictions and targets of two views, [2·batch, dim] each. No gradient reaches
 * the targets, which is what keeps a network from agreeing with itself on one point.
 */
export function crossCosine(nn: Ops, predictions: Tensor, targets: Tensor): Tensor {
  const { tf } = nn;
  const [first, second] = splitViews(nn, nn.l2Normalise(nn.stopGradient(targets)), 2) as [Tensor, Tensor];
  const products = tf.mul(nn.l2Normalise(predictions), tf.concat([second, first], 0));
  return tf.mean(tf.sum(products, -1));
}
