/** Traced kernels against tfjs-cpu, with their gradients where tfjs has them: convolutions. */
import type { Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import { describe, it } from 'vitest';
import { comparedEngines, normal } from '../compare.ts';

const expectSame = comparedEngines();

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
      `conv ${k} ${stride} ${pad} ${h}`,
      { x: normal([2, h, w, 3]), f: normal([k, k, 3, 4], 2) },
      (tf, { x, f }) => tf.conv2d(x as Tensor4D, f as Tensor4D, stride, pad),
      true,
    ),
  );
  it.each(GRID)('depthwise $k×$k stride $stride pad $pad on $h×$w with gradients', ({ k, stride, pad, h, w }) =>
    expectSame(
      `depthwise ${k} ${stride} ${pad} ${h}`,
      { x: normal([2, h, w, 3]), f: normal([k, k, 3, 2], 2) },
      (tf, { x, f }) => tf.depthwiseConv2d(x as Tensor4D, f as Tensor4D, stride, pad),
      true,
    ),
  );
  it('dilated', () =>
    expectSame('dilated', { x: normal([2, 9, 8, 3]), f: normal([3, 3, 3, 4], 2) }, (tf, { x, f }) =>
      tf.conv2d(x as Tensor4D, f as Tensor4D, 1, 'same', 'NHWC', 2),
    ));
  it('of one example, and of a square kernel that is not', () =>
    expectSame(
      'odd',
      { x: normal([6, 9, 3]), f: normal([2, 3, 3, 4], 2) },
      (tf, { x, f }) => tf.conv2d(x as Tensor3D, f as Tensor4D, [2, 1], 'same'),
      true,
    ));
  it('transposed with its gradient', () =>
    expectSame(
      'transposed',
      { x: normal([2, 3, 4, 4]), f: normal([3, 3, 3, 4], 2) },
      (tf, { x, f }) => tf.conv2dTranspose(x as Tensor4D, f as Tensor4D, [2, 6, 8, 3], 2, 'same'),
      true,
    ));
});
