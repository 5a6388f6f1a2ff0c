/**
 * Brightness, contrast, saturation, hue and loss of colour. All are linear in the pixel and in the image's mean brightness, so
 * each image gets a scale, a share of that mean and, with three channels, a 3 × 3 matrix; the result is cut to [0, 1].
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { Rng } from '../../protocol/random.ts';
import type { TensorSpec } from '../../protocol/tensors.ts';
import type { ImageShape } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';
import type { ImageSpec } from './image-spec.ts';
import { blank, type Part, uniform } from './part.ts';

/** Brightness of red, green and blue (ITU-R BT.601). */
const LUMA = [0.299, 0.587, 0.114] as const;

const recolours = (spec: ImageSpec, [, , channels]: ImageShape): boolean =>
  channels === 3 && (spec.saturation > 0 || spec.hue > 0 || spec.grey > 0);

const specsOf = (spec: ImageSpec, shape: ImageShape, batch: number): Record<string, TensorSpec> => ({
  scale: { shape: [batch, 1, 1, 1], dtype: 'float32' },
  share: { shape: [batch, 1, 1, 1], dtype: 'float32' },
  ...(recolours(spec, shape) ? { matrix: { shape: [batch, 3, 3], dtype: 'float32' } } : {}),
});

const factor = (rng: Rng, strength: number): number => uniform(rng, [Math.max(0, 1 - strength), 1 + strength]);

/** Rows: input channels, columns: output channels. Saturation first, then the turn of the hue in the YIQ plane. */
function colourMatrix(saturation: number, hue: number): number[] {
  const [cos, sin] = [Math.cos(2 * Math.PI * hue), Math.sin(2 * Math.PI * hue)];
  const chroma = (r: number, g: number, b: number): number[] => {
    const y = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
    const [i, q] = [0.596 * r - 0.274 * g - 0.322 * b, 0.211 * r - 0.523 * g + 0.312 * b];
    const [u, v] = [saturation * (cos * i - sin * q), saturation * (sin * i + cos * q)];
    return [y + 0.956 * u + 0.621 * v, y - 0.272 * u - 0.647 * v, y - 1.106 * u + 1.703 * v];
  };
  return [...chroma(1, 0, 0), ...chroma(0, 1, 0), ...chroma(0, 0, 1)];
}

/** [b, h, w, c] → mean brightness of each image, [b, 1, 1, 1] */
function meanBrightness(nn: Ops, images: Tensor): Tensor {
  const channels = nn.globalAveragePool(images); // [b, c]
  const mean = channels.shape[1] === 1 ? channels : nn.tf.sum(nn.tf.mul(channels, nn.tf.tensor1d([...LUMA])), -1, true);
  return nn.tf.reshape(mean, [-1, 1, 1, 1]);
}

export const colour: Part = {
  active: (spec, shape) => spec.brightness > 0 || spec.contrast > 0 || recolours(spec, shape),
  specs: specsOf,
  draw: (rng, spec, shape, batch) => {
    const { scale, share, matrix } = blank(specsOf(spec, shape, batch));
    for (let b = 0; b < batch; b++) {
      const jittered = rng.next() < spec.jitterProbability;
      const strength = (s: number): number => (jittered ? s : 0);
      const brightness = factor(rng, strength(spec.brightness));
      const contrast = factor(rng, strength(spec.contrast));
      scale!.data[b] = brightness * contrast;
      share!.data[b] = brightness * (1 - contrast);
      if (!matrix) continue;
      const saturation = factor(rng, strength(spec.saturation));
      const hue = uniform(rng, [-strength(spec.hue), strength(spec.hue)]);
      const grey = rng.next() < spec.grey;
      matrix.data.set(colourMatrix(grey ? 0 : saturation, hue), b * 9);
    }
    return { scale: scale!, share: share!, ...(matrix ? { matrix } : {}) };
  },
  apply: (nn, images, { scale, share, matrix }) => {
    const { tf } = nn;
    let changed: Tensor = tf.add(tf.mul(images, scale!), tf.mul(meanBrightness(nn, images), share!));
    if (matrix) {
      const [batch, height, width] = images.shape as [number, number, number];
      const pixels = tf.reshape(changed, [batch, height * width, 3]);
      changed = tf.reshape(tf.matMul<Tensor>(pixels, matrix), images.shape);
    }
    return tf.clipByValue(changed, 0, 1);
  },
};
