/**
 * Random crop (Szegedy et al. 2015: area and aspect ratio), mirror image and rotation about the crop's centre, in one bilinear
 * resampling. Up to half a pixel beyond the edge counts as the edge, what lies farther out is 0. Without rotation the
 * map is separable; with it, each pixel is a weighted sum of four gathered ones.
 */
import type { Rng } from '../../protocol/random.ts';
import type { NDArray, TensorSpec } from '../../protocol/tensors.ts';
import type { ImageShape } from '../contracts.ts';
import type { ImageSpec } from './image-spec.ts';
import { blank, logUniform, type Part, uniform } from './part.ts';
import { applySeparable, separableSpecs } from './separable.ts';

/** Where a view lies in its image, in fractions of the image; `mirror` is −1 for a mirror image, `angle` in radians. */
interface Frame {
  readonly centreY: number;
  readonly centreX: number;
  readonly height: number;
  readonly width: number;
  readonly mirror: 1 | -1;
  readonly angle: number;
}

const crops = ({ crop }: ImageSpec): boolean => crop[0] < 1;

function drawFrame(rng: Rng, spec: ImageSpec): Frame {
  const area = crops(spec) ? uniform(rng, spec.crop) : 1;
  const ratio = crops(spec) ? logUniform(rng, spec.aspect) : 1;
  const height = Math.min(1, Math.sqrt(area / ratio));
  const width = Math.min(1, Math.sqrt(area * ratio));
  return {
    height,
    width,
    centreY: height / 2 + (1 - height) * rng.next(),
    centreX: width / 2 + (1 - width) * rng.next(),
    mirror: rng.next() < spec.flip ? -1 : 1,
    angle: (uniform(rng, [-spec.rotateDegrees, spec.rotateDegrees]) * Math.PI) / 180,
  };
}

/** Two neighbouring pixels and the weight of the second; undefined outside of the image. `at` in pixels, centres at integers. */
function neighbours(at: number, size: number): { first: number; second: number; weight: number } | undefined {
  if (at < -0.5 || at > size - 0.5) return undefined;
  const clamped = Math.min(Math.max(at, 0), size - 1);
  const first = Math.floor(clamped);
  return { first, second: Math.min(first + 1, size - 1), weight: clamped - first };
}

/** Offset of pixel i of n from the view's centre, as a fraction of the view. */
const offset = (i: number, n: number): number => (i + 0.5) / n - 0.5;

/** Fills the n × n map of one axis, whose entry (output, input) is at output · outputStep + input · inputStep. */
function fillAxis(
  matrix: NDArray['data'],
  start: number,
  n: number,
  source: (output: number) => number,
  [outputStep, inputStep]: readonly [number, number],
): void {
  for (let i = 0; i < n; i++) {
    const near = neighbours(source(i), n);
    if (!near) continue;
    const row = start + i * outputStep;
    matrix[row + near.first * inputStep]! += 1 - near.weight;
    matrix[row + near.second * inputStep]! += near.weight;
  }
}

/** Crop and flip, as one pair of matrices per image. */
export const resample: Part = {
  active: (spec) => spec.rotateDegrees === 0 && (crops(spec) || spec.flip > 0),
  specs: (_, shape, batch) => separableSpecs(shape, batch),
  draw: (rng, spec, shape, batch) => {
    const [height, width] = shape;
    const { rows, columns } = blank(separableSpecs(shape, batch));
    for (let b = 0; b < batch; b++) {
      const frame = drawFrame(rng, spec);
      const y = (i: number): number => (frame.centreY + frame.height * offset(i, height)) * height - 0.5;
      const x = (j: number): number => (frame.centreX + frame.mirror * frame.width * offset(j, width)) * width - 0.5;
      fillAxis(rows.data, b * height * height, height, y, [height, 1]);
      fillAxis(columns.data, b * width * width, width, x, [1, width]);
    }
    return { rows, columns };
  },
  apply: (nn, images, { rows, columns }) => applySeparable(nn, images, rows!, columns!),
};

const warpSpecs = ([height, width]: ImageShape, batch: number): Record<'index' | 'weight', TensorSpec> => ({
  /** The four pixels of each pixel of the views, counted over the batch. */
  index: { shape: [4, batch * height * width], dtype: 'int32' },
  weight: { shape: [4, batch * height * width, 1], dtype: 'float32' },
});

/** Writes the four pixels and weights of one image's view. */
function fillWarp(index: NDArray, weight: NDArray, image: number, frame: Frame, [height, width]: ImageShape): void {
  const pixels = index.shape[1]!;
  const [cos, sin] = [Math.cos(frame.angle), Math.sin(frame.angle)];
  const start = image * height * width;
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      // in pixels of the image, so that a rotation keeps its shape whatever the crop's aspect
      const v = frame.height * height * offset(i, height);
      const u = frame.mirror * frame.width * width * offset(j, width);
      const y = neighbours(frame.centreY * height + sin * u + cos * v - 0.5, height);
      const x = neighbours(frame.centreX * width + cos * u - sin * v - 0.5, width);
      if (!y || !x) continue;
      const at = start + i * width + j;
      const corners = [
        [y.first, x.first, (1 - y.weight) * (1 - x.weight)],
        [y.first, x.second, (1 - y.weight) * x.weight],
        [y.second, x.first, y.weight * (1 - x.weight)],
        [y.second, x.second, y.weight * x.weight],
      ] as const;
      for (const [k, [row, column, share]] of corners.entries()) {
        index.data[k * pixels + at] = start + row * width + column;
        weight.data[k * pixels + at] = share;
      }
    }
  }
}

/** Crop, flip and rotation, as a weighted sum of four gathered pixels. */
export const warp: Part = {
  active: (spec) => spec.rotateDegrees > 0,
  specs: (_, shape, batch) => warpSpecs(shape, batch),
  draw: (rng, spec, shape, batch) => {
    const { index, weight } = blank(warpSpecs(shape, batch));
    for (let b = 0; b < batch; b++) fillWarp(index, weight, b, drawFrame(rng, spec), shape);
    return { index, weight };
  },
  apply: ({ tf }, images, { index, weight }) => {
    const channels = images.shape[3]!;
    const pixels = tf.reshape(images, [-1, channels]);
    const corners = tf.reshape(tf.gather(pixels, tf.reshape(index!, [-1])), [4, -1, channels]);
    return tf.reshape(tf.sum(tf.mul(corners, weight!), 0), images.shape);
  },
};
