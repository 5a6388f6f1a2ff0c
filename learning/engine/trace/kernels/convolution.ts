/**
 * Convolutions and their gradients, always as [batch, channels, height, width] with filters [out, in, height, width]:
 * the transposes from and to tfjs's layout are nodes of their own, which rewrites move and cancel.
 */
import type {
  Conv2DAttrs,
  Conv2DBackpropFilterAttrs,
  Conv2DBackpropInputAttrs,
  DepthwiseConv2dNativeAttrs,
  DepthwiseConv2dNativeBackpropFilterAttrs,
  DepthwiseConv2dNativeBackpropInputAttrs,
  FusedConv2DAttrs,
} from '@tensorflow/tfjs';
import type { Attributes } from '../../onnx/graph.ts';
import {
  binary,
  type Call,
  emit,
  input,
  type Kernels,
  optionalInput,
  reshape,
  type Shape,
  type Traced,
  transpose,
} from '../emit.ts';
import { activate } from './matrix.ts';

type Size4 = [number, number, number, number];
type Geometry = Pick<Conv2DAttrs, 'strides' | 'pad' | 'dimRoundingMode'> &
  Partial<Pick<Conv2DAttrs, 'dilations' | 'dataFormat'>>;

interface Info {
  readonly attributes: Attributes;
  /** Shape of the output, [batch, channels, height, width]. */
  readonly out: Size4;
}

export const TO_CHANNELS_FIRST = [0, 3, 1, 2];
export const TO_CHANNELS_LAST = [0, 2, 3, 1];
/** [height, width, in, out] → [out, in, height, width]. */
const FILTER_TO_ONNX = [3, 2, 0, 1];
const FILTER_TO_TFJS = [2, 3, 1, 0];

const isChannelsFirst = (geometry: Geometry): boolean => geometry.dataFormat === 'NCHW';
const channelsFirst = (call: Call, x: Traced, geometry: Geometry): Traced =>
  isChannelsFirst(geometry) ? x : transpose(call.g, x, TO_CHANNELS_FIRST);
const asGiven = (call: Call, x: Traced, geometry: Geometry): Traced =>
  isChannelsFirst(geometry) ? x : transpose(call.g, x, TO_CHANNELS_LAST);

/** Strides, pads and the output's shape, from tfjs's own arithmetic. */
function infoOf(call: Call, inShape: Shape, filterShape: Shape, geometry: Geometry, depthwise = false): Info {
  const { strides, pad, dilations = 1, dimRoundingMode } = geometry;
  const format = isChannelsFirst(geometry) ? 'channelsFirst' : 'channelsLast';
  const [from, filter] = [[...inShape] as Size4, [...filterShape] as Size4];
  const info = call.util.computeConv2DInfo(from, filter, strides, dilations, pad, dimRoundingMode, depthwise, format);
  const { top, left, bottom, right } = info.padInfo;
  return {
    attributes: {
      strides: [info.strideHeight, info.strideWidth],
      pads: [top, left, bottom, right],
      dilations: [info.dilationHeight, info.dilationWidth],
      group: depthwise ? info.inChannels : 1,
    },
    out: [info.batchSize, info.outChannels, info.outHeight, info.outWidth],
  };
}

function convolve(call: Call, x: Traced, filter: Traced, geometry: Geometry): Traced {
  const { attributes, out } = infoOf(call, x.shape, filter.shape, geometry);
  const kernel = transpose(call.g, filter, FILTER_TO_ONNX);
  const y = emit(call.g, 'Conv', [channelsFirst(call, x, geometry), kernel], { shape: out, attributes });
  return asGiven(call, y, geometry);
}

function gradInput(call: Call): Traced {
  const [dy, filter] = [input(call, 'dy'), input(call, 'filter')];
  const attrs = call.attrs as Conv2DBackpropInputAttrs;
  const { attributes } = infoOf(call, attrs.inputShape, filter.shape, attrs);
  const [n, h, w, c] = isChannelsFirst(attrs)
    ? [attrs.inputShape[0], attrs.inputShape[2], attrs.inputShape[3], attrs.inputShape[1]]
    : attrs.inputShape;
  const kernel = transpose(call.g, filter, FILTER_TO_ONNX);
  const dx = emit(call.g, 'ConvGradInput', [channelsFirst(call, dy, attrs), kernel], {
    shape: [n, c, h, w],
    attributes,
    domain: 'tacit',
  });
  return asGiven(call, dx, attrs);
}

function gradFilter(call: Call): Traced {
  const [x, dy] = [input(call, 'x'), input(call, 'dy')];
  const attrs = call.attrs as Conv2DBackpropFilterAttrs;
  const { attributes } = infoOf(call, x.shape, attrs.filterShape, attrs);
  const dw = emit(call.g, 'ConvGradFilter', [channelsFirst(call, x, attrs), channelsFirst(call, dy, attrs)], {
    shape: FILTER_TO_ONNX.map((p) => attrs.filterShape[p]!),
    attributes,
    domain: 'tacit',
  });
  return transpose(call.g, dw, FILTER_TO_TFJS);
}

/** [height, width, channels, multiplier] → [channels · multiplier, 1, height, width]. */
function depthwiseFilter(call: Call, filter: Traced): Traced {
  const [h, w, c, m] = filter.shape as Size4;
  return reshape(call.g, transpose(call.g, filter, [2, 3, 0, 1]), [c * m, 1, h, w]);
}

function depthwise(call: Call, x: Traced, filter: Traced, geometry: Geometry): Traced {
  const { attributes, out } = infoOf(call, x.shape, filter.shape, geometry, true);
  const inputs = [channelsFirst(call, x, geometry), depthwiseFilter(call, filter)];
  return asGiven(call, emit(call.g, 'Conv', inputs, { shape: out, attributes }), geometry);
}

function depthwiseGradInput(call: Call): Traced {
  const [dy, filter] = [input(call, 'dy'), input(call, 'filter')];
  const attrs = call.attrs as DepthwiseConv2dNativeBackpropInputAttrs;
  const { attributes } = infoOf(call, attrs.inputShape, filter.shape, attrs, true);
  const shape = TO_CHANNELS_FIRST.map((p) => attrs.inputShape[p]!);
  const inputs = [channelsFirst(call, dy, attrs), depthwiseFilter(call, filter)];
  return asGiven(call, emit(call.g, 'ConvGradInput', inputs, { shape, attributes, domain: 'tacit' }), attrs);
}

function depthwiseGradFilter(call: Call): Traced {
  const { g } = call;
  const [x, dy] = [input(call, 'x'), input(call, 'dy')];
  const attrs = call.attrs as DepthwiseConv2dNativeBackpropFilterAttrs;
  const { attributes } = infoOf(call, x.shape, attrs.filterShape, attrs, true);
  const [h, w, c, m] = attrs.filterShape;
  const inputs = [channelsFirst(call, x, attrs), channelsFirst(call, dy, attrs)];
  const dw = emit(g, 'ConvGradFilter', inputs, { shape: [c * m, 1, h, w], attributes, domain: 'tacit' });
  return transpose(g, reshape(g, dw, [c, m, h, w]), [2, 3, 0, 1]);
}

/** A fused kernel: product, bias and activation. */
const fused =
  (product: typeof convolve) =>
  (call: Call): Traced => {
    const attrs = call.attrs as FusedConv2DAttrs;
    const bias = optionalInput(call, 'bias');
    const y = product(call, input(call, 'x'), input(call, 'filter'), attrs);
    return activate(call, bias ? binary(call.g, 'Add', y, bias) : y, attrs);
  };

export const convolutionKernels: Kernels = {
  Conv2D: (call) => convolve(call, input(call, 'x'), input(call, 'filter'), call.attrs as Conv2DAttrs),
  Conv2DBackpropInput: gradInput,
  Conv2DBackpropFilter: gradFilter,
  DepthwiseConv2dNative: (call) =>
    depthwise(call, input(call, 'x'), input(call, 'filter'), call.attrs as DepthwiseConv2dNativeAttrs),
  DepthwiseConv2dNativeBackpropInput: depthwiseGradInput,
  DepthwiseConv2dNativeBackpropFilter: depthwiseGradFilter,
  FusedConv2D: fused(convolve),
  FusedDepthwiseConv2D: fused(depthwise),
};
