/** Matrix products whose gradients use plain products of explicitly transposed matrices. */
import type { Tensor } from '@tensorflow/tfjs';
import { withGradient } from './custom-gradient.ts';
import type { TensorFlow } from './ops.ts';

/** [m, k] · [k, n] → [m, n] */
export function matMul(tf: TensorFlow, a: Tensor, b: Tensor): Tensor {
  return withGradient(tf, {
    inputs: { a, b },
    forward: (save) => {
      save([a, b]);
      return tf.matMul<Tensor>(a, b);
    },
    gradient: (dy, [left, right]) => ({
      a: () => tf.matMul<Tensor>(dy, tf.transpose(right!)),
      b: () => tf.matMul<Tensor>(tf.transpose(left!), dy),
    }),
  });
}

/** xᵀ·x of x: [n, d] → [d, d]. Its gradient x·(dR + dRᵀ) takes one product, where that of a product of two takes two. */
export function gram(tf: TensorFlow, x: Tensor): Tensor {
  return withGradient(tf, {
    inputs: { x },
    forward: (save) => {
      save([x]);
      return tf.matMul<Tensor>(tf.transpose(x), x);
    },
    gradient: (dy, [saved]) => ({ x: () => tf.matMul<Tensor>(saved!, tf.add(dy, tf.transpose(dy))) }),
  });
}
