/** Traced kernels against tfjs-cpu, with their gradients where tfjs has them: functions of images. */
import type { Tensor, Tensor4D } from '@tensorflow/tfjs';
import { describe, it } from 'vitest';
import type { Tensors } from '../../../../../../learning/engine/engine.ts';
import type { TensorFlow } from '../../../../../../learning/ops/ops.ts';
import { comparedEngines, type Inputs, normal } from '../compare.ts';

const expectSame = comparedEngines();

const image: Inputs = { x: normal([2, 5, 6, 3]) };
/** tfjs-cpu exchanges height and width in the gradient of bilinear resizing. */
const square: Inputs = { x: normal([2, 6, 6, 3]) };

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
    expectSame(`transform ${name}`, image, (tf, { x }) =>
      transformed(tf, x as Tensor4D, transforms[name]!.rows, transforms[name]!.options),
    ),
  );
});

describe('images', () => {
  // one image: tfjs-cpu mixes up the images of a batch in this gradient
  it('resizeNearest up with its gradient', () =>
    expectSame(
      'resizeNearest up',
      { x: normal([1, 6, 6, 3]) },
      (tf, { x }) => tf.image.resizeNearestNeighbor(x as Tensor4D, [12, 12]),
      true,
    ));
  it.each(Object.keys(images))('%s with its gradient', (name) =>
    expectSame(name, square, (tf, inputs) => images[name]!(tf, inputs.x as Tensor4D, inputs), true),
  );
  it.each(Object.keys(imagesOnly))('%s', (name) =>
    expectSame(name, image, (tf, inputs) => imagesOnly[name]!(tf, inputs.x as Tensor4D, inputs)),
  );
});
