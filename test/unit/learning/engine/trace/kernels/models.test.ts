/** Traced kernels against tfjs-cpu, with their gradients where tfjs has them: what transformers, prototypes and turned images ask for. */
import type { Tensor } from '@tensorflow/tfjs';
import { describe, it } from 'vitest';
import type { TensorFlow } from '../../../../../../learning/ops/ops.ts';
import { comparedEngines, normal } from '../compare.ts';

const expectSame = comparedEngines();

describe('what transformers, prototypes and turned images ask for', () => {
  it('attention in heads, with its gradient', () => {
    const split = (tf: TensorFlow, x: Tensor): Tensor => tf.transpose(tf.reshape(x, [2, 4, 3, 2]), [0, 2, 1, 3]);
    return expectSame(
      'heads',
      { q: normal([8, 6]), k: normal([8, 6], 2), v: normal([8, 6], 3) },
      (tf, { q, k, v }) => {
        const weights = tf.softmax(tf.matMul<Tensor>(split(tf, q!), split(tf, k!), false, true));
        const gathered = tf.matMul<Tensor>(weights, split(tf, v!));
        return tf.reshape(tf.transpose(gathered, [0, 2, 1, 3]), [8, 6]);
      },
      true,
    );
  });
  it('the mean over the middle axis, with its gradient', () =>
    expectSame('middle', { x: normal([2, 5, 3]) }, (tf, { x }) => tf.mean(x!, 1), true));
  it('patches of images and back, with their gradient', () =>
    expectSame(
      'patches',
      { x: normal([2, 4, 6, 3]), m: normal([2, 6, 1], 2) },
      (tf, { x, m }) => {
        const patches = tf.reshape(tf.transpose(tf.reshape(x!, [-1, 2, 3, 6]), [0, 2, 1, 3]), [-1, 6, 12]);
        const masked = tf.reshape(tf.mul(patches, m!), [-1, 3, 2, 6]);
        return tf.reshape(tf.transpose(masked, [0, 2, 1, 3]), [-1, 4, 6, 3]);
      },
      true,
    ));
  it('quarter turns', () =>
    expectSame('turns', { x: normal([2, 4, 4, 3]) }, (tf, { x }) => {
      const once = tf.reverse(tf.transpose(x!, [0, 2, 1, 3]), 1);
      return [once, tf.reverse(x!, [1, 2]), tf.reverse(once, [1, 2])];
    }));
  it('a queue that takes rows in front', () =>
    expectSame('queue', { x: normal([2, 3]), q: normal([5, 3], 2) }, (tf, { x, q }) =>
      tf.slice(tf.concat([x!, q!], 0), [0, 0], [5, -1]),
    ));
});
