/** Traced kernels against tfjs-cpu, with their gradients where tfjs has them: functions of one tensor. */
import type { Tensor } from '@tensorflow/tfjs';
import { describe, it } from 'vitest';
import type { TensorFlow } from '../../../../../../learning/ops/ops.ts';
import { float32 } from '../../../../../../protocol/tensors.ts';
import { comparedEngines, type Inputs, normal } from '../compare.ts';

const expectSame = comparedEngines();

const x34: Inputs = { x: normal([3, 4]) };

type Of1 = (tf: TensorFlow, x: Tensor) => Tensor;
const smooth: Readonly<Record<string, Of1>> = {
  abs: (tf, x) => tf.abs(x),
  atan: (tf, x) => tf.atan(x),
  asinh: (tf, x) => tf.asinh(x),
  cos: (tf, x) => tf.cos(x),
  cosh: (tf, x) => tf.cosh(x),
  elu: (tf, x) => tf.elu(x),
  erf: (tf, x) => tf.erf(x),
  exp: (tf, x) => tf.exp(x),
  expm1: (tf, x) => tf.expm1(x),
  leakyRelu: (tf, x) => tf.leakyRelu(x, 0.3),
  logSigmoid: (tf, x) => tf.logSigmoid(x),
  neg: (tf, x) => tf.neg(x),
  reciprocal: (tf, x) => tf.reciprocal(x),
  relu: (tf, x) => tf.relu(x),
  relu6: (tf, x) => tf.relu6(tf.mul(x, 5)),
  selu: (tf, x) => tf.selu(x),
  sigmoid: (tf, x) => tf.sigmoid(x),
  sin: (tf, x) => tf.sin(x),
  sinh: (tf, x) => tf.sinh(x),
  softplus: (tf, x) => tf.softplus(x),
  square: (tf, x) => tf.square(x),
  tan: (tf, x) => tf.tan(x),
  tanh: (tf, x) => tf.tanh(x),
  clip: (tf, x) => tf.clipByValue(x, -0.5, 0.7),
  sqrt: (tf, x) => tf.sqrt(tf.abs(x)),
  rsqrt: (tf, x) => tf.rsqrt(tf.add(tf.abs(x), 0.1)),
  log: (tf, x) => tf.log(tf.add(tf.abs(x), 0.1)),
  log1p: (tf, x) => tf.log1p(tf.abs(x)),
  acos: (tf, x) => tf.acos(tf.tanh(x)),
  asin: (tf, x) => tf.asin(tf.tanh(x)),
  atanh: (tf, x) => tf.atanh(tf.mul(tf.tanh(x), 0.9)),
  acosh: (tf, x) => tf.acosh(tf.add(tf.abs(x), 1.1)),
  pow: (tf, x) => tf.pow(tf.add(tf.abs(x), 0.1), 2.5),
  sum: (tf, x) => tf.sum(x, 1),
  'sum of all': (tf, x) => tf.sum(x),
  mean: (tf, x) => tf.mean(x, 0, true),
  max: (tf, x) => tf.max(x, 1),
  min: (tf, x) => tf.min(x, [0, 1]),
  cumsum: (tf, x) => tf.cumsum(x, 1, true, true),
  softmax: (tf, x) => tf.softmax(x),
  logSoftmax: (tf, x) => tf.logSoftmax(x),
  logSumExp: (tf, x) => tf.logSumExp(x, 1),
  norm: (tf, x) => tf.norm(x, 'euclidean', 1),
  reshape: (tf, x) => tf.reshape(x, [2, -1]),
  expandDims: (tf, x) => tf.expandDims(x, 1),
  transpose: (tf, x) => tf.transpose(x),
  slice: (tf, x) => tf.slice(x, [1, 0], [2, 3]),
  pad: (tf, x) =>
    tf.pad(
      x,
      [
        [1, 0],
        [0, 2],
      ],
      0.5,
    ),
  'mirrorPad reflect': (tf, x) =>
    tf.mirrorPad(
      x,
      [
        [1, 2],
        [2, 1],
      ],
      'reflect',
    ),
  'mirrorPad symmetric': (tf, x) =>
    tf.mirrorPad(
      x,
      [
        [1, 2],
        [2, 1],
      ],
      'symmetric',
    ),
  tile: (tf, x) => tf.tile(x, [2, 3]),
  reverse: (tf, x) => tf.reverse(x, 1),
  broadcastTo: (tf, x) => tf.broadcastTo(tf.slice(x, [0, 0], [1, 4]), [5, 4]),
  'split and concat': (tf, x) => tf.concat([...tf.split(x, 2, 1)].reverse(), 1),
  'unstack and stack': (tf, x) => tf.stack([...tf.unstack(x, 0)].reverse(), 1),
  'ones and zeros': (tf, x) => tf.add(tf.mul(x, tf.ones([3, 4])), tf.zeros([3, 4])),
  'a scalar divided': (tf, x) => tf.div(2, x),
};

/** No gradient is asked for: there is none, or it is not defined. */
const rough: Readonly<Record<string, Of1>> = {
  prod: (tf, x) => tf.prod(x, 1),
  stridedSlice: (tf, x) => tf.stridedSlice(x, [0, 3], [3, 0], [2, -1]),
  'stridedSlice to the start': (tf, x) => tf.reverse(tf.stridedSlice(x, [2, 1], [0, 4], [-1, 2]), 0),
  ceil: (tf, x) => tf.ceil(x),
  floor: (tf, x) => tf.floor(x),
  round: (tf, x) => tf.round(x),
  sign: (tf, x) => tf.sign(x),
  step: (tf, x) => tf.step(x),
  'step with slope': (tf, x) => tf.step(x, 0.25),
  isNaN: (tf, x) => tf.isNaN(tf.log(x)),
  isInf: (tf, x) => tf.isInf(tf.div(x, tf.relu(x))),
  isFinite: (tf, x) => tf.isFinite(tf.log(x)),
  argMax: (tf, x) => tf.argMax(x, 1),
  argMin: (tf, x) => tf.argMin(x, 0),
  all: (tf, x) => tf.all(tf.greater(x, -1), 1),
  any: (tf, x) => tf.any(tf.greater(x, 1), 1),
  cast: (tf, x) => tf.cast(tf.mul(x, 3), 'int32'),
  'sum of bools': (tf, x) => tf.sum(tf.greater(x, 0)),
  eye: (tf, x) => tf.matMul(x, tf.eye(4)),
  linspace: (tf, x) => tf.mul(x, tf.linspace(0, 1, 4)),
  range: (tf, x) => tf.mul(x, tf.range(0, 4, 1, 'float32')),
};

describe('functions of one tensor', () => {
  it.each(Object.keys(smooth))('%s with its gradient', (name) =>
    expectSame(name, x34, (tf, { x }) => smooth[name]!(tf, x!), true),
  );
  it.each(Object.keys(rough))('%s', (name) => expectSame(name, x34, (tf, { x }) => rough[name]!(tf, x!)));
  it.each([1e-9, 1e-6, 1e-3])('log1p and expm1 keep the digits of numbers around %f', async (scale) => {
    const x = normal([64], 3, scale);
    await expectSame(`log1p ${scale}`, { x }, (tf, inputs) => tf.mul(tf.log1p(inputs.x!), 1 / scale));
    await expectSame(`expm1 ${scale}`, { x }, (tf, inputs) => tf.mul(tf.expm1(inputs.x!), 1 / scale));
  });
  it('log1p far from 0', () =>
    expectSame('log1p far', { x: float32([5], Float32Array.of(-1, -0.9, 3, 1e20, Infinity)) }, (tf, { x }) =>
      tf.log1p(x!),
    ));
  it('topk', () =>
    expectSame('topk', x34, (tf, { x }) => {
      const { values, indices } = tf.topk(x!, 2);
      return [values, indices];
    }));
});
