/**
 * A convolution, or the gradient of its input, as plain convolutions of one image each. The gradient at stride s is s² of them, one
 * for each remainder of the position, which meet every s-th tap of the filter from its end.
 */
import type { Operation } from './operations.ts';
import type { View } from './views.ts';

type Pair = readonly [number, number];

/** One plain convolution; pairs are for rows and columns. */
export interface Phase {
  /** Where the first window begins in the image, before it if negative. */
  readonly origin: Pair;
  /** From one window to the next. */
  readonly stride: Pair;
  readonly taps: Pair;
  /** Which tap of the filter the first one is, and how far the next is. */
  readonly firstTap: Pair;
  readonly tapStep: Pair;
  /** Where the results go: from which position, how far apart, how many. */
  readonly into: Pair;
  readonly intoStep: Pair;
  readonly size: Pair;
}

export interface Convolution {
  readonly images: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly outChannels: number;
  /** Which axis of the filter, [out, in, height, width], is summed over, and which one is the result's channels. */
  readonly summed: 0 | 1;
  readonly kept: 0 | 1;
  readonly phases: readonly Phase[];
}

interface Geometry {
  readonly strides: Pair;
  readonly pads: readonly [number, number, number, number];
}

export const geometryOf = ({ attributes }: Operation): Geometry => attributes as unknown as Geometry;

const pair = (of: (axis: 0 | 1) => number): Pair => [of(0), of(1)];

const forward = ({ strides, pads }: Geometry, taps: Pair, size: Pair): Phase => ({
  origin: [-pads[0], -pads[1]],
  stride: strides,
  taps,
  ...{ firstTap: [0, 0], tapStep: [1, 1], into: [0, 0], intoStep: [1, 1], size },
});

/** The positions that leave this remainder. */
function backward({ strides, pads }: Geometry, kernel: Pair, size: Pair, remainder: Pair): Phase {
  const first = pair((i) => (remainder[i] + pads[i]) % strides[i]);
  const taps = pair((i) => Math.max(0, Math.ceil((kernel[i] - first[i]) / strides[i])));
  return {
    origin: pair((i) => (remainder[i] + pads[i] - first[i]) / strides[i] - (taps[i] - 1)),
    stride: [1, 1],
    taps,
    firstTap: pair((i) => first[i] + strides[i] * (taps[i] - 1)),
    tapStep: pair((i) => -strides[i]),
    into: remainder,
    intoStep: strides,
    size: pair((i) => Math.max(0, Math.ceil((size[i] - remainder[i]) / strides[i]))),
  };
}

export function convolutionOf(operation: Operation): Convolution {
  const [x, filter] = operation.inputs as [View, View];
  const [images, height, width, channels] = x.shape as [number, number, number, number];
  const [, outHeight, outWidth, outChannels] = operation.into.shape as [number, number, number, number];
  const kernel = filter.shape.slice(2) as unknown as Pair;
  const geometry = geometryOf(operation);
  const size: Pair = [outHeight, outWidth];
  const isForward = operation.op === 'Conv';
  const remainders = Array.from(
    { length: geometry.strides[0] * geometry.strides[1] },
    (_, i): Pair => [Math.floor(i / geometry.strides[1]), i % geometry.strides[1]],
  );
  return {
    ...{ images, height, width, channels, outHeight, outWidth, outChannels },
    ...(isForward ? { summed: 1, kept: 0 } : { summed: 0, kept: 1 }),
    phases: isForward
      ? [forward(geometry, kernel, size)]
      : remainders.map((remainder) => backward(geometry, kernel, size, remainder)),
  };
}

/** How far the windows reach beyond the image: before it, and altogether with it. */
export interface Frame {
  readonly before: Pair;
  readonly size: Pair;
}

export function frameOf({ height, width, phases }: Convolution): Frame {
  const image: Pair = [height, width];
  const before = pair((i) => Math.max(0, ...phases.map(({ origin }) => -origin[i])));
  const end = pair((i) =>
    Math.max(image[i], ...phases.map((p) => p.origin[i] + (p.size[i] - 1) * p.stride[i] + p.taps[i])),
  );
  return { before, size: pair((i) => before[i] + end[i]) };
}
