/** Activations with closed-form gradients. */
import type { Tensor } from '@tensorflow/tfjs';
import { withGradient } from './custom-gradient.ts';
import type { TensorFlow } from './ops.ts';

/** max(x, 0); its gradient is read off the output, so the input need not be kept. */
export function relu(tf: TensorFlow, x: Tensor): Tensor {
  return withGradient(tf, {
    inputs: { x },
    forward: (save) => {
      const y = tf.relu(x);
      save([y]);
      return y;
    },
    gradient: (dy, [y]) => ({ x: () => tf.mul(dy, tf.step(y!)) }),
  });
}

/** x · Φ(x) with Φ(x) = (1 + erf(x/√2)) / 2; derivative Φ(x) + x·φ(x). Hendrycks & Gimpel 2016. */
export function gelu(tf: TensorFlow, x: Tensor): Tensor {
  const phi = (t: Tensor): Tensor => tf.mul(tf.add(tf.erf(tf.mul(t, Math.SQRT1_2)), 1), 0.5);
  return withGradient(tf, {
    inputs: { x },
    forward: (save) => {
      save([x]);
      return tf.mul(x, phi(x));
    },
    gradient: (dy, [saved]) => ({
      x: () => {
        const t = saved!;
        const density = tf.mul(tf.exp(tf.mul(tf.square(t), -0.5)), 1 / Math.sqrt(2 * Math.PI));
        return tf.mul(dy, tf.add(phi(t), tf.mul(t, density)));
      },
    }),
  });
}
