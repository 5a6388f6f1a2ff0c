/** Two-dimensional convolution, NHWC, with a gradient that every backend can run. */
import type { Tensor, Tensor4D } from '@tensorflow/tfjs';
import type { Convolution, TensorFlow } from './ops.ts';

/** x: [b, h, w, c]; kernel: [kh, kw, c, f]. */
export function conv2d(tf: TensorFlow, x: Tensor, kernel: Tensor, { stride, padding }: Convolution): Tensor {
  return tf.conv2d(x as Tensor4D, kernel as Tensor4D, stride, padding);
}
