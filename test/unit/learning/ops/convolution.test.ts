import type { Tensor } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { activate, loadBackend } from '../../../../learning/engine/eager-backend.ts';
import { stream } from '../../../../protocol/random.ts';
import type { NDArray } from '../../../../protocol/tensors.ts';
import { deviation, dot, randomArray, toImages, toWeights } from '../../../reference/arrays.ts';
import { conv2d } from '../../../reference/network.ts';
import { BACKENDS, differentiate } from './gradients.ts';

const grid = [
  { h: 5, w: 5, kh: 3, kw: 3 },
  { h: 8, w: 8, kh: 3, kw: 3 },
  { h: 7, w: 4, kh: 3, kw: 2 },
  { h: 6, w: 9, kh: 5, kw: 3 },
  { h: 4, w: 4, kh: 1, kw: 1 },
].flatMap((size) =>
  [1, 2, 3].flatMap((stride) => (['same', 'valid'] as const).map((padding) => ({ ...size, stride, padding }))),
);

const reference = (x: NDArray, kernel: NDArray, stride: number, padding: 'same' | 'valid'): number[] =>
  toImages(x)
    .map((image) => conv2d(image, toWeights(kernel), stride, padding))
    .flat(3);

describe.each(BACKENDS)('convolution on %s', (backend) => {
  it.each(grid)('$h×$w, kernel $kh×$kw, stride $stride, $padding', async ({ h, w, kh, kw, stride, padding }) => {
    for (const [channels, filters] of [
      [1, 4],
      [3, 2],
    ] as const) {
      const rng = stream(1, 'convolution', h, w, kh, stride, padding, channels);
      const x = randomArray(rng, [2, h, w, channels]);
      const kernel = randomArray(rng, [kh, kw, channels, filters]);
      const expected = reference(x, kernel, stride, padding);
      const out = (size: number, k: number): number =>
        padding === 'same' ? Math.ceil(size / stride) : Math.floor((size - k) / stride) + 1;
      const dy = randomArray(rng, [2, out(h, kh), out(w, kw), filters]);
      const found = await differentiate(backend, [x, kernel], dy, (nn, [image, weights]) =>
        nn.conv2d(image!, weights!, { stride, padding }),
      );
      expect(found.shape).toEqual(dy.shape);
      expect(deviation(found.value, expected)).toBeLessThan(1e-5);
      // linear in each input: the derivative along v is the convolution of v
      for (let i = 0; i < 3; i++) {
        const [dx, dk] = [randomArray(rng, x.shape), randomArray(rng, kernel.shape)];
        const size = Math.sqrt(expected.length * x.data.length);
        expect(dot(found.gradients[0]!, dx.data) / size).toBeCloseTo(
          dot(dy.data, reference(dx, kernel, stride, padding)) / size,
          5,
        );
        expect(dot(found.gradients[1]!, dk.data) / size).toBeCloseTo(
          dot(dy.data, reference(x, dk, stride, padding)) / size,
          5,
        );
      }
    }
  });
});

it('does not compute the gradient of images that nobody asks for', async () => {
  const nn = await loadBackend('cpu', {});
  const { tf } = nn;
  activate(tf, 'cpu');
  const loss = (image: Tensor, kernel: Tensor): Tensor =>
    tf.sum(nn.conv2d(image, kernel, { stride: 1, padding: 'same' }));
  const kernelsOf = async (gradient: (x: Tensor, k: Tensor) => unknown): Promise<readonly string[]> => {
    const [x, k] = [tf.ones([1, 4, 4, 1]), tf.ones([3, 3, 1, 2])];
    const { kernelNames } = await tf.profile(() => {
      gradient(x, k);
      return x;
    });
    return kernelNames;
  };
  // the input's gradient alone multiplies by the selection matrix
  expect(await kernelsOf((x, k) => tf.grads(loss)([x, k]))).toContain('BatchMatMul');
  expect(await kernelsOf((x, k) => tf.grad((kernel) => loss(x, kernel))(k))).not.toContain('BatchMatMul');
});
