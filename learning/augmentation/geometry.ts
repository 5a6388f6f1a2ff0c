/**
 * Random crop (Szegedy et al. 2015: area and aspect ratio), mirror image and rotation about the crop's centre, in one bilinear
 * resampling. Up to half a pixel beyond the edge counts as the edge, what lies farther out is 0. Without rotation the
 * map is separable; with it, each pixel is a weighted sum of four gathered ones.
 */
import type { Rng } from '../../protocol/random.ts';
import { float32, int32, type NDArray, sizeOf, type TensorSpec } from '../../protocol/tensors.ts';
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

/** A position in pixels, centres at integers, moved to the edge from up to half a pixel beyond it; −1 if it is farther out. */
const inside = (at: number, size: number): number =>
  at < -0.5 || at > size - 0.5 ? -1 : Math.min(Math.max(at, 0), size - 1);

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
    const at = inside(source(i), n);
    if (at < 0) continue;
    const first = Math.floor(at);
    const row = start + i * outputStep;
    matrix[row + first * inputStep]! += 1 - (at - first);
    matrix[row + Math.min(first + 1, n - 1) * inputStep]! += at - first;
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

/** Writes the four pixels and weights of every pixel of one view: once per pixel of a batch, so without objects. */
function fillWarp(index: Int32Array, weight: Float32Array, image: number, frame: Frame, shape: ImageShape): void {
  const [height, width] = shape;
  const pixels = index.length / 4;
  const start = image * height * width;
  // steps in pixels of the image, so that a rotation keeps its shape whatever the crop's aspect
  const [cos, sin] = [Math.cos(frame.angle), Math.sin(frame.angle)];
  const stepX = frame.mirror * frame.width;
  let at = start;
  for (let i = 0; i < height; i++) {
    const v = frame.height * (i + 0.5 - height / 2);
    for (let j = 0; j < width; j++, at++) {
      const u = stepX * (j + 0.5 - width / 2);
      const y = inside(frame.centreY * height + sin * u + cos * v - 0.5, height);
      const x = inside(frame.centreX * width + cos * u - sin * v - 0.5, width);
      if (y < 0 || x < 0) continue;
      const top = Math.floor(y);
      const left = Math.floor(x);
      const down = y - top;
      const right = x - left;
      const first = start + top * width + left;
      const next = left + 1 < width ? 1 : 0;
      const below = top + 1 < height ? width : 0;
      index[at] = first;
      index[at + pixels] = first + next;
      index[at + 2 * pixels] = first + below;
      index[at + 3 * pixels] = first + below + next;
      weight[at] = (1 - down) * (1 - right);
      weight[at + pixels] = (1 - down) * right;
      weight[at + 2 * pixels] = down * (1 - right);
      weight[at + 3 * pixels] = down * right;
    }
  }
}

/** Crop, flip and rotation, as a weighted sum of four gathered pixels. */
export const warp: Part = {
  active: (spec) => spec.rotateDegrees > 0,
  specs: (_, shape, batch) => warpSpecs(shape, batch),
  draw: (rng, spec, shape, batch) => {
    const specs = warpSpecs(shape, batch);
    const [index, weight] = [new Int32Array(sizeOf(specs.index.shape)), new Float32Array(sizeOf(specs.weight.shape))];
    for (let b = 0; b < batch; b++) fillWarp(index, weight, b, drawFrame(rng, spec), shape);
    return { index: int32(specs.index.shape, index), weight: float32(specs.weight.shape, weight) };
  },
  apply: ({ tf }, images, { index, weight }) => {
    const channels = images.shape[3]!;
    const pixels = tf.reshape(images, [-1, channels]);
    const corners = tf.reshape(tf.gather(pixels, tf.reshape(index!, [-1])), [4, -1, channels]);
    return tf.reshape(tf.sum(tf.mul(corners, weight!), 0), images.shape);
  },
};
