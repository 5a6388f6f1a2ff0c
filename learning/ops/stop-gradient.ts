/** The identity as an operation without inputs, so that the tape has no path through it and computes nothing behind it. */
import type { Tensor } from '@tensorflow/tfjs';
import { withGradient } from './custom-gradient.ts';
import type { TensorFlow } from './ops.ts';

export const stopGradient = (tf: TensorFlow, x: Tensor): Tensor =>
  withGradient(tf, { inputs: {}, forward: () => tf.clone(x), gradient: () => ({}) });
