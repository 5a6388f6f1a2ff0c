/** Traced kernels against tfjs-cpu, with their gradients where tfjs has them: what picks by index. */
import type { Tensor1D } from '@tensorflow/tfjs';
import { describe, it } from 'vitest';
import { comparedEngines, type Inputs, integers, normal, type TensorFunction } from '../compare.ts';

const expectSame = comparedEngines();

interface Case {
  readonly inputs: Inputs;
  readonly body: TensorFunction;
  readonly gradient?: boolean;
}
const indexed: Readonly<Record<string, Case>> = {
  'gather (embedding)': {
    inputs: { table: normal([7, 3]), i: integers([2, 4], 7) },
    body: (tf, { table, i }) => tf.gather(table!, i as Tensor1D),
    gradient: true,
  },
  'gather along an axis': {
    inputs: { table: normal([2, 7, 3]), i: integers([4], 7) },
    body: (tf, { table, i }) => tf.gather(table!, i as Tensor1D, 1),
    gradient: true,
  },
  'gather in batches': {
    inputs: { table: normal([2, 7, 3]), i: integers([2, 4], 7) },
    body: (tf, { table, i }) => tf.gather(table!, i as Tensor1D, 1, 1),
  },
  gatherND: {
    inputs: { table: normal([3, 4, 2]), i: integers([5, 2], 3) },
    body: (tf, { table, i }) => tf.gatherND(table!, i!),
  },
  scatterND: {
    inputs: { updates: normal([5, 2]), i: integers([5, 1], 4) },
    body: (tf, { updates, i }) => tf.scatterND(i!, updates!, [4, 2]),
  },
  'segment sum': {
    inputs: { x: normal([6, 2]), i: integers([6], 4) },
    body: (tf, { x, i }) => tf.unsortedSegmentSum(x!, tf.sub(i!, tf.scalar(1, 'int32')) as Tensor1D, 3),
    gradient: true,
  },
  oneHot: { inputs: { i: integers([2, 3], 4) }, body: (tf, { i }) => tf.oneHot(i!, 4, 2, -1) },
  'labels picked': {
    inputs: { x: normal([3, 4]), i: integers([3], 4) },
    body: (tf, { x, i }) => tf.sum(tf.mul(tf.oneHot(i as Tensor1D, 4), tf.logSoftmax(x!)), 1),
    gradient: true,
  },
};

describe('indices', () => {
  it.each(Object.keys(indexed))('%s', (name) => {
    const { inputs, body, gradient } = indexed[name]!;
    return expectSame(name, inputs, body, gradient ?? false);
  });
});
