/** Matrix product whose gradient uses plain products of explicitly transposed matrices. */
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
