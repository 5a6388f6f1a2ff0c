/** Pooling, resizing and geometric transforms of images [batch, height, width, channels]. */
import type {
  AvgPoolAttrs,
  AvgPoolGradAttrs,
  DepthToSpaceAttrs,
  FusedBatchNormAttrs,
  MaxPoolAttrs,
  ResizeBilinearAttrs,
  TransformAttrs,
} from '@tensorflow/tfjs';
import { sizeOf } from '../../../../protocol/tensors.ts';
import type { Attributes } from '../../onnx/graph.ts';
import {
  binary,
  type Call,
  constantTensor,
  emit,
  filled,
  input,
  type Kernel,
  type Kernels,
  optionalInput,
  reshape,
  scalarLike,
  sliceBox,
  type Traced,
  transpose,
  unary,
} from '../emit.ts';
import { resizeMatrix } from '../resize-matrix.ts';
import { TO_CHANNELS_FIRST, TO_CHANNELS_LAST } from './convolution.ts';

type Size4 = [number, number, number, number];

interface Window {
  readonly attributes: Attributes;
  /** [batch, channels, height, width]. */
  readonly out: Size4;
  readonly size: [number, number];
}

function windowOf(call: Call, x: Traced, attrs: AvgPoolAttrs | AvgPoolGradAttrs | MaxPoolAttrs): Window {
  const rounding = 'dimRoundingMode' in attrs ? attrs.dimRoundingMode : undefined;
  const { filterSize, strides, pad } = attrs;
  const info = call.util.computePool2DInfo([...x.shape] as Size4, filterSize, strides, 1, pad, rounding);
  const { top, left, bottom, right } = info.padInfo;
  const size: [number, number] = [info.filterHeight, info.filterWidth];
  return {
    attributes: {
      kernel_shape: size,
      strides: [info.strideHeight, info.strideWidth],
      pads: [top, left, bottom, right],
    },
    out: [info.batchSize, info.inChannels, info.outHeight, info.outWidth],
    size,
  };
}

const pool =
  (op: 'MaxPool' | 'AveragePool'): Kernel =>
  (call) => {
    const x = input(call, 'x');
    const { attributes, out } = windowOf(call, x, call.attrs as MaxPoolAttrs);
    const first = transpose(call.g, x, TO_CHANNELS_FIRST);
    return transpose(call.g, emit(call.g, op, [first], { shape: out, attributes }), TO_CHANNELS_LAST);
  };

/** Each output's gradient goes to the first largest element of its window. */
function maxPoolGrad(call: Call): Traced {
  const { g } = call;
  const [dy, x] = [input(call, 'dy'), input(call, 'input')];
  const { attributes, out } = windowOf(call, x, call.attrs as MaxPoolAttrs);
  const first = transpose(g, x, TO_CHANNELS_FIRST);
  const types = [
    { dtype: 'float32', shape: out },
    { dtype: 'int64', shape: out },
  ] as const;
  const [, positions] = g.nodes('MaxPool', [first.value], types, attributes);
  const count = sizeOf(out);
  const flatPositions = g.node('Reshape', [positions!, g.ints([count])], { dtype: 'int64', shape: [count] });
  const flatDy = reshape(g, transpose(g, dy, TO_CHANNELS_FIRST), [count]);
  const dx = emit(g, 'ScatterElements', [filled(g, [sizeOf(x.shape)], 0, 'float32')], {
    extra: [flatPositions, flatDy.value],
    attributes: { axis: 0, reduction: 'add' },
  });
  return transpose(g, reshape(g, dx, first.shape), TO_CHANNELS_LAST);
}

/** tfjs divides by the whole window, also where it lies partly outside. */
function avgPoolGrad(call: Call): Traced {
  const { g } = call;
  const [dy, x] = [input(call, 'dy'), input(call, 'input')];
  const { attributes, size, out } = windowOf(call, x, call.attrs as AvgPoolGradAttrs);
  const { kernel_shape: _, ...geometry } = attributes;
  const [n, h, w, c] = x.shape as Size4;
  const planes = reshape(g, transpose(g, dy, TO_CHANNELS_FIRST), [n * c, 1, out[2], out[3]]);
  const weights = filled(g, [1, 1, ...size], 1 / (size[0] * size[1]), 'float32');
  const dx = emit(g, 'ConvGradInput', [planes, weights], {
    shape: [n * c, 1, h, w],
    attributes: { ...geometry, dilations: [1, 1], group: 1 },
    domain: 'tacit',
  });
  return transpose(g, reshape(g, dx, [n, c, h, w]), TO_CHANNELS_LAST);
}

/** Rows and columns are resized by one matrix each; the gradient uses their transposes. */
function resize(method: 'bilinear' | 'nearest', gradient: boolean): Kernel {
  return (call) => {
    const { g } = call;
    const images = input(call, 'images');
    const { alignCorners, halfPixelCenters, size } = call.attrs as ResizeBilinearAttrs;
    const from = images.shape.slice(1, 3) as [number, number];
    const to = gradient ? (input(call, 'dy').shape.slice(1, 3) as [number, number]) : size;
    const matrix = (axis: 0 | 1): Traced => {
      const data = resizeMatrix(from[axis], to[axis], method, alignCorners, halfPixelCenters);
      return constantTensor(g, [to[axis], from[axis]], data);
    };
    const transposed = (t: Traced, wanted: boolean): Traced => (wanted ? transpose(g, t, [1, 0]) : t);
    const x = transpose(g, gradient ? input(call, 'dy') : images, TO_CHANNELS_FIRST);
    const [height, width] = gradient ? from : to;
    const [n, c] = x.shape as Size4;
    const tall = emit(g, 'MatMul', [transposed(matrix(0), gradient), x], { shape: [n, c, height, x.shape[3]!] });
    const wide = emit(g, 'MatMul', [tall, transposed(matrix(1), !gradient)], { shape: [n, c, height, width] });
    return transpose(g, wide, TO_CHANNELS_LAST);
  };
}

const PADDING = { constant: 'zeros', nearest: 'border', reflect: 'reflection', wrap: '' } as const;

/** Projective transforms [batch or 1, 8] from output to input pixels, as ONNX GridSample. */
function transform(call: Call): Traced {
  const { g } = call;
  const [image, transforms] = [input(call, 'image'), input(call, 'transforms')];
  const { interpolation, fillMode, fillValue, outputShape } = call.attrs as TransformAttrs;
  const padding = PADDING[fillMode];
  if (padding === '') return call.unsupported(`with fillMode ${fillMode}`);
  const [n, h, w, c] = image.shape as Size4;
  const [outH, outW] = outputShape ?? [h, w];
  const all =
    transforms.shape[0] === n
      ? transforms
      : emit(g, 'Expand', [transforms], { shape: [n, 8], extra: [g.ints([n, 8])] });
  const coefficient = (i: number): Traced => reshape(g, sliceBox(g, all, [0, i], [n, 1]), [n, 1, 1]);
  const ys = constantTensor(
    g,
    [1, outH, 1],
    Float32Array.from({ length: outH }, (_, i) => i),
  );
  const xs = constantTensor(
    g,
    [1, 1, outW],
    Float32Array.from({ length: outW }, (_, i) => i),
  );
  const affine = (i: number, offset: Traced): Traced =>
    binary(
      g,
      'Add',
      binary(g, 'Add', binary(g, 'Mul', coefficient(i), xs), binary(g, 'Mul', coefficient(i + 1), ys)),
      offset,
    );
  const scale = affine(6, filled(g, [1, 1, 1], 1, 'float32'));
  const grid = ([0, 3] as const).map((i, axis) => {
    const at = binary(g, 'Div', affine(i, coefficient(i + 2)), scale);
    const length = axis === 0 ? w : h;
    // Pixel centre p lies at (2p + 1) / length − 1 in GridSample's units.
    const unit = binary(g, 'Mul', at, scalarLike(g, at, 2 / length));
    return reshape(g, binary(g, 'Add', unit, scalarLike(g, at, 1 / length - 1)), [n, outH, outW, 1]);
  });
  const points = emit(g, 'Concat', grid, { shape: [n, outH, outW, 2], attributes: { axis: 3 } });
  const shifted = fillMode === 'constant' && fillValue !== 0;
  const fill = scalarLike(g, image, fillValue);
  const source = transpose(g, shifted ? binary(g, 'Sub', image, fill) : image, TO_CHANNELS_FIRST);
  const mode = interpolation === 'nearest' ? 'nearest' : 'linear';
  const attributes = { align_corners: 0, mode, padding_mode: padding };
  const sampled = emit(g, 'GridSample', [source, points], { shape: [n, c, outH, outW], attributes });
  const result = transpose(g, sampled, TO_CHANNELS_LAST);
  return shifted ? binary(g, 'Add', result, fill) : result;
}

/** (x − mean) / √(variance + ε) · scale + offset, the statistics given. */
function batchNorm(call: Call): Traced {
  const { g } = call;
  const [x, mean, variance] = [input(call, 'x'), input(call, 'mean'), input(call, 'variance')];
  const [scale, offset] = [optionalInput(call, 'scale'), optionalInput(call, 'offset')];
  const { varianceEpsilon } = call.attrs as FusedBatchNormAttrs;
  const epsilon = scalarLike(g, x, varianceEpsilon);
  const inverse = unary(g, 'Reciprocal', unary(g, 'Sqrt', binary(g, 'Add', variance, epsilon)));
  const factor = scale ? binary(g, 'Mul', inverse, scale) : inverse;
  const y = binary(g, 'Mul', binary(g, 'Sub', x, mean), factor);
  return offset ? binary(g, 'Add', y, offset) : y;
}

function depthToSpace(call: Call): Traced {
  const { g } = call;
  const x = input(call, 'x');
  const { blockSize: b, dataFormat } = call.attrs as DepthToSpaceAttrs;
  if (dataFormat !== 'NHWC') return call.unsupported(`with layout ${dataFormat}`);
  const [n, h, w, c] = x.shape as Size4;
  const cut = reshape(g, x, [n, h, w, b, b, c / (b * b)]);
  return reshape(g, transpose(g, cut, [0, 1, 3, 2, 4, 5]), [n, h * b, w * b, c / (b * b)]);
}

export const imageKernels: Kernels = {
  MaxPool: pool('MaxPool'),
  AvgPool: pool('AveragePool'),
  MaxPoolGrad: maxPoolGrad,
  AvgPoolGrad: avgPoolGrad,
  ResizeBilinear: resize('bilinear', false),
  ResizeBilinearGrad: resize('bilinear', true),
  ResizeNearestNeighbor: resize('nearest', false),
  ResizeNearestNeighborGrad: resize('nearest', true),
  Transform: transform,
  FusedBatchNorm: batchNorm,
  DepthToSpace: depthToSpace,
};
