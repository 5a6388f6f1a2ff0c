/** Every traced kernel against tfjs-cpu, with its gradient where tfjs has one. */
import type { Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { compiledEngine } from '../../../../../learning/engine/compiled.ts';
import { eagerEngine } from '../../../../../learning/engine/eager.ts';
import type { Engine, Tensors } from '../../../../../learning/engine/engine.ts';
import type { TensorFlow } from '../../../../../learning/ops/ops.ts';
import { expectSame, type Inputs, integers, normal, type TensorFunction } from './compare.ts';

let engines: { compiled: Engine; eager: Engine };
beforeAll(async () => {
  engines = { compiled: await compiledEngine(), eager: await eagerEngine('cpu') };
});
afterAll(async () => {
  await engines.compiled.close();
  await engines.eager.close();
});

const x34: Inputs = { x: normal([3, 4]) };
const ab: Inputs = { a: normal([3, 4]), b: normal([3, 4], 2) };
const image: Inputs = { x: normal([2, 5, 6, 3]) };
/** tfjs-cpu exchanges height and width in the gradient of bilinear resizing. */
const square: Inputs = { x: normal([2, 6, 6, 3]) };

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
    expectSame(engines, name, x34, (tf, { x }) => smooth[name]!(tf, x!), true),
  );
  it.each(Object.keys(rough))('%s', (name) => expectSame(engines, name, x34, (tf, { x }) => rough[name]!(tf, x!)));
  it('topk', () =>
    expectSame(engines, 'topk', x34, (tf, { x }) => {
      const { values, indices } = tf.topk(x!, 2);
      return [values, indices];
    }));
});

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
    expectSame(engines, name, ab, (tf, { a, b }) => pairs[name]!(tf, a!, b!), true),
  );
  it.each(Object.keys(comparisons))('%s', (name) =>
    expectSame(engines, name, ab, (tf, { a, b }) => comparisons[name]!(tf, a!, b!)),
  );
  it('batched matMul with its gradient', () =>
    expectSame(
      engines,
      'bmm',
      { a: normal([2, 3, 4, 5]), b: normal([2, 3, 5, 2]) },
      (tf, { a, b }) => tf.matMul<Tensor>(a!, b!),
      true,
    ));
  it('attention with its gradient', () =>
    expectSame(
      engines,
      'attention',
      { q: normal([2, 4, 3]), k: normal([2, 5, 3], 2), v: normal([2, 5, 3], 3) },
      (tf, { q, k, v }) => tf.matMul<Tensor>(tf.softmax(tf.matMul<Tensor>(q!, k!, false, true)), v!),
      true,
    ));
});

describe('what transformers, prototypes and turned images ask for', () => {
  it('attention in heads, with its gradient', () => {
    const split = (tf: TensorFlow, x: Tensor): Tensor => tf.transpose(tf.reshape(x, [2, 4, 3, 2]), [0, 2, 1, 3]);
    return expectSame(
      engines,
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
    expectSame(engines, 'middle', { x: normal([2, 5, 3]) }, (tf, { x }) => tf.mean(x!, 1), true));
  it('patches of images and back, with their gradient', () =>
    expectSame(
      engines,
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
    expectSame(engines, 'turns', { x: normal([2, 4, 4, 3]) }, (tf, { x }) => {
      const once = tf.reverse(tf.transpose(x!, [0, 2, 1, 3]), 1);
      return [once, tf.reverse(x!, [1, 2]), tf.reverse(once, [1, 2])];
    }));
  it('a queue that takes rows in front', () =>
    expectSame(engines, 'queue', { x: normal([2, 3]), q: normal([5, 3], 2) }, (tf, { x, q }) =>
      tf.slice(tf.concat([x!, q!], 0), [0, 0], [5, -1]),
    ));
});

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
    return expectSame(engines, name, inputs, body, gradient ?? false);
  });
});

type OfImage = (tf: TensorFlow, x: Tensor4D, inputs: Tensors) => Tensor;
const images: Readonly<Record<string, OfImage>> = {
  'maxPool 2': (tf, x) => tf.maxPool(x, 2, 2, 'valid'),
  'maxPool 3 stride 2 same': (tf, x) => tf.maxPool(x, 3, 2, 'same'),
  'maxPool of ties': (tf, x) => tf.maxPool(tf.relu(x), 3, 1, 'same'),
  'avgPool 2': (tf, x) => tf.avgPool(x, 2, 2, 'valid'),
  'mean over positions': (tf, x) => tf.mean(x, [1, 2]),
  'resizeBilinear down': (tf, x) => tf.image.resizeBilinear(x, [3, 4]),
  'resizeBilinear aligned': (tf, x) => tf.image.resizeBilinear(x, [9, 7], true),
  'normalised over channels': (tf, x) => {
    const { mean, variance } = tf.moments(x, 3, true);
    return tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-5)));
  },
};
const imagesOnly: Readonly<Record<string, OfImage>> = {
  'avgPool 3 same': (tf, x) => tf.avgPool(x, 3, 2, 'same'),
  'resizeBilinear by pixel centres': (tf, x) => tf.image.resizeBilinear(x, [7, 11], false, true),
  'resizeNearest by pixel centres': (tf, x) => tf.image.resizeNearestNeighbor(x, [3, 4], false, true),
  flipLeftRight: (tf, x) => tf.image.flipLeftRight(x),
  depthToSpace: (tf, x) => tf.depthToSpace(tf.tile(x, [1, 1, 1, 4]) as Tensor4D, 2, 'NHWC'),
  spaceToBatchND: (tf, x) =>
    tf.spaceToBatchND(
      x,
      [2, 3],
      [
        [0, 1],
        [0, 0],
      ],
    ),
  batchToSpaceND: (tf, x) =>
    tf.batchToSpaceND(
      x,
      [2, 1],
      [
        [1, 0],
        [0, 0],
      ],
    ),
  batchNorm: (tf, x) =>
    tf.batchNorm(x, tf.tensor1d([0, 0.1, 0.2]), tf.tensor1d([1, 2, 3]), tf.tensor1d([1, 0, 1]), tf.tensor1d([1, 2, 1])),
  'fused convolution': (tf, x) =>
    tf.fused.conv2d({
      x,
      filter: tf.ones([3, 3, 3, 2]),
      strides: 1,
      pad: 'same',
      bias: tf.ones([2]),
      activation: 'relu',
    }),
};

/** tfjs-cpu transforms the first image of a batch only, so it is given one at a time. */
function transformed(tf: TensorFlow, x: Tensor4D, rows: number[][], options: TransformOptions): Tensor {
  const { interpolation = 'bilinear', fill = 0, size, mode = 'constant' } = options;
  const one = (images: Tensor4D, matrix: number[][]): Tensor4D =>
    tf.image.transform(images, tf.tensor2d(matrix), interpolation, mode, fill, size);
  if (tf.getBackend() === 'trace') return one(x, rows);
  const row = (i: number): number[] => rows[rows.length === 1 ? 0 : i]!;
  return tf.concat([0, 1].map((i) => one(tf.slice(x, [i, 0, 0, 0], [1, -1, -1, -1]), [row(i)])));
}
interface TransformOptions {
  readonly interpolation?: 'nearest' | 'bilinear';
  readonly mode?: 'constant' | 'nearest' | 'reflect';
  readonly fill?: number;
  readonly size?: [number, number];
}
const AFFINE = [0.7, 0.2, 1.3, -0.1, 1.1, 0.23, 0, 0];
const PROJECTIVE = [1, 0, 1.1, 0, 1, -1.2, 0.01, 0];
const transforms: Readonly<Record<string, { rows: number[][]; options: TransformOptions }>> = {
  'by one matrix': { rows: [AFFINE], options: {} },
  'by a matrix each': { rows: [AFFINE, PROJECTIVE], options: {} },
  'to another size with a fill': { rows: [AFFINE], options: { fill: 0.5, size: [4, 3] } },
  'to the nearest pixel': { rows: [PROJECTIVE], options: { interpolation: 'nearest' } },
  'with the border repeated': { rows: [PROJECTIVE], options: { mode: 'nearest' } },
};

describe('transforms', () => {
  it.each(Object.keys(transforms))('%s', (name) =>
    expectSame(engines, `transform ${name}`, image, (tf, { x }) =>
      transformed(tf, x as Tensor4D, transforms[name]!.rows, transforms[name]!.options),
    ),
  );
});

describe('images', () => {
  // one image: tfjs-cpu mixes up the images of a batch in this gradient
  it('resizeNearest up with its gradient', () =>
    expectSame(
      engines,
      'resizeNearest up',
      { x: normal([1, 6, 6, 3]) },
      (tf, { x }) => tf.image.resizeNearestNeighbor(x as Tensor4D, [12, 12]),
      true,
    ));
  it.each(Object.keys(images))('%s with its gradient', (name) =>
    expectSame(engines, name, square, (tf, inputs) => images[name]!(tf, inputs.x as Tensor4D, inputs), true),
  );
  it.each(Object.keys(imagesOnly))('%s', (name) =>
    expectSame(engines, name, image, (tf, inputs) => imagesOnly[name]!(tf, inputs.x as Tensor4D, inputs)),
  );
});

const GRID = [1, 2, 3].flatMap((k) =>
  [1, 2, 3].flatMap((stride) =>
    (['same', 'valid', 1] as const).flatMap((pad) =>
      [
        [5, 6],
        [7, 4],
      ].map(([h, w]) => ({ k, stride, pad, h: h!, w: w! })),
    ),
  ),
);

describe('convolutions', () => {
  it.each(GRID)('$k×$k stride $stride pad $pad on $h×$w with gradients', ({ k, stride, pad, h, w }) =>
    expectSame(
      engines,
      `conv ${k} ${stride} ${pad} ${h}`,
      { x: normal([2, h, w, 3]), f: normal([k, k, 3, 4], 2) },
      (tf, { x, f }) => tf.conv2d(x as Tensor4D, f as Tensor4D, stride, pad),
      true,
    ),
  );
  it.each(GRID)('depthwise $k×$k stride $stride pad $pad on $h×$w with gradients', ({ k, stride, pad, h, w }) =>
    expectSame(
      engines,
      `depthwise ${k} ${stride} ${pad} ${h}`,
      { x: normal([2, h, w, 3]), f: normal([k, k, 3, 2], 2) },
      (tf, { x, f }) => tf.depthwiseConv2d(x as Tensor4D, f as Tensor4D, stride, pad),
      true,
    ),
  );
  it('dilated', () =>
    expectSame(engines, 'dilated', { x: normal([2, 9, 8, 3]), f: normal([3, 3, 3, 4], 2) }, (tf, { x, f }) =>
      tf.conv2d(x as Tensor4D, f as Tensor4D, 1, 'same', 'NHWC', 2),
    ));
  it('of one example, and of a square kernel that is not', () =>
    expectSame(
      engines,
      'odd',
      { x: normal([6, 9, 3]), f: normal([2, 3, 3, 4], 2) },
      (tf, { x, f }) => tf.conv2d(x as Tensor3D, f as Tensor4D, [2, 1], 'same'),
      true,
    ));
  it('transposed with its gradient', () =>
    expectSame(
      engines,
      'transposed',
      { x: normal([2, 3, 4, 4]), f: normal([3, 3, 3, 4], 2) },
      (tf, { x, f }) => tf.conv2dTranspose(x as Tensor4D, f as Tensor4D, [2, 6, 8, 3], 2, 'same'),
      true,
    ));
});
