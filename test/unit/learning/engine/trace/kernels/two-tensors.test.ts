/** Traced kernels against tfjs-cpu, with their gradients where tfjs has them: functions of two tensors. */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { describe, it } from 'vitest';
import type { TensorFlow } from '../../../../../../learning/ops/ops.ts';
import { comparedEngines, type Inputs, normal } from '../compare.ts';

const expectSame = comparedEngines();

const ab: Inputs = { a: normal([3, 4]), b: normal([3, 4], 2) };

type Of2 = (tf: TensorFlow, a: Tensor, b: Tensor) => Tensor;
const pairs: Readonly<Record<string, Of2>> = {
  add: (tf, a, b) => tf.add(a, b),
  sub: (tf, a, b) => tf.sub(a, b),
  mul: (tf, a, b) => tf.mul(a, b),
  div: (tf, a, b) => tf.div(a, b),
  maximum: (tf, a, b) => tf.maximum(a, b),
  minimum: (tf, a, b) => tf.minimum(a, b),
  squaredDifference: (tf, a, b) => tf.squaredDifference(a, b),
  atan2: (tf, a, b) => tf.atan2(a, b),
  addN: (tf, a, b) => tf.addN([a, b, a]),
  where: (tf, a, b) =>
    tf.where(
      tf.cast(
        tf.tensor2d([
          [1, 0, 1, 0],
          [1, 1, 0, 0],
          [0, 1, 0, 1],
        ]),
        'bool',
      ),
      a,
      b,
    ),
  prelu: (tf, a, b) => tf.prelu(a, b),
  'row broadcast': (tf, a, b) => tf.mul(a, tf.slice(b, [1, 0], [1, 4])),
  'column broadcast': (tf, a, b) => tf.add(a, tf.slice(b, [0, 2], [3, 1])),
  'matMul transposed': (tf, a, b) => tf.matMul(a as Tensor2D, b as Tensor2D, false, true),
  'matMul transposed left': (tf, a, b) => tf.matMul(a as Tensor2D, b as Tensor2D, true, false),
  dot: (tf, a, b) => tf.dot(a as Tensor2D, tf.transpose(b) as Tensor2D),
};
const comparisons: Readonly<Record<string, Of2>> = {
  equal: (tf, a, b) => tf.equal(tf.round(a), tf.round(b)),
  notEqual: (tf, a, b) => tf.notEqual(tf.round(a), tf.round(b)),
  less: (tf, a, b) => tf.less(a, b),
  lessEqual: (tf, a, b) => tf.lessEqual(tf.round(a), tf.round(b)),
  greater: (tf, a, b) => tf.greater(a, b),
  greaterEqual: (tf, a, b) => tf.greaterEqual(tf.round(a), tf.round(b)),
  'logic of bools': (tf, a, b) =>
    tf.logicalOr(tf.logicalAnd(tf.greater(a, 0), tf.greater(b, 0)), tf.logicalNot(tf.greater(b, -1))),
  floorDiv: (tf, a, b) => tf.floorDiv(a, b),
  mod: (tf, a, b) => tf.mod(a, b),
  'integers divided': (tf, a, b) => tf.floorDiv(tf.cast(tf.mul(a, 9), 'int32'), tf.cast(tf.add(tf.abs(b), 2), 'int32')),
  'fused matMul': (tf, a, b) =>
    tf.fused.matMul({ a: a as Tensor2D, b: b as Tensor2D, transposeB: true, bias: tf.ones([3]), activation: 'relu' }),
  einsum: (tf, a, b) => tf.einsum('ij,kj->ik', a, b),
};

describe('functions of two tensors', () => {
  it.each(Object.keys(pairs))('%s with its gradient', (name) =>
    expectSame(name, ab, (tf, { a, b }) => pairs[name]!(tf, a!, b!), true),
  );
  it.each(Object.keys(comparisons))('%s', (name) =>
    expectSame(name, ab, (tf, { a, b }) => comparisons[name]!(tf, a!, b!)),
  );
  it('batched matMul with its gradient', () =>
    expectSame(
      'bmm',
      { a: normal([2, 3, 4, 5]), b: normal([2, 3, 5, 2]) },
      (tf, { a, b }) => tf.matMul<Tensor>(a!, b!),
      true,
    ));
  it('attention with its gradient', () =>
    expectSame(
      'attention',
      { q: normal([2, 4, 3]), k: normal([2, 5, 3], 2), v: normal([2, 5, 3], 3) },
      (tf, { q, k, v }) => tf.matMul<Tensor>(tf.softmax(tf.matMul<Tensor>(q!, k!, false, true)), v!),
      true,
    ));
});
