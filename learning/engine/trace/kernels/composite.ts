/**
 * Kernels that tfjs does not have, called by the composites of ../composites.ts: operations that stay whole until a lowering
 * chooses how to compute them. Images are [batch, channels, height, width] inside, as for convolutions.
 */
import type { GraphBuilder } from '../../onnx/graph.ts';
import {
  binary,
  type Call,
  emit,
  filled,
  input,
  type Kernel,
  type Kernels,
  reduce,
  reshape,
  scalarLike,
  type Traced,
  transpose,
  unary,
} from '../emit.ts';
import { TO_CHANNELS_FIRST, TO_CHANNELS_LAST } from './convolution.ts';

export interface GroupNormAttrs {
  readonly groups: number;
  readonly epsilon: number;
}

/** Mean and inverse deviation per example and group. */
const momentsShape = (x: Traced, groups: number): number[] => [x.shape[0]!, groups];

/** x, scale, offset → y, mean, 1/√(var + ε) */
function groupNorm(call: Call): Traced[] {
  const { g } = call;
  const { groups, epsilon } = call.attrs as GroupNormAttrs;
  const x = transpose(g, input(call, 'x'), TO_CHANNELS_FIRST);
  const [scale, offset] = [input(call, 'scale'), input(call, 'offset')];
  const moments = momentsShape(x, groups);
  const types = [x.shape, moments, moments].map((shape) => ({ dtype: 'float32', shape }) as const);
  const attributes = { groups, epsilon: { float: epsilon } };
  const [y, mean, inverse] = g.nodes('GroupNorm', [x.value, scale.value, offset.value], types, attributes, 'tacit');
  return [
    transpose(g, { value: y!, shape: x.shape, dtype: 'float32' }, TO_CHANNELS_LAST),
    { value: mean!, shape: moments, dtype: 'float32' },
    { value: inverse!, shape: moments, dtype: 'float32' },
  ];
}

/** dy, x, mean, inverse, scale → dx, dscale, doffset */
function groupNormGrad(call: Call): Traced[] {
  const { g } = call;
  const { groups } = call.attrs as GroupNormAttrs;
  const [dy, x] = [input(call, 'dy'), input(call, 'x')].map((t) => transpose(g, t, TO_CHANNELS_FIRST));
  const rest = ['mean', 'inverse', 'scale'].map((name) => input(call, name).value);
  const channels = [x!.shape[1]!];
  const types = [x!.shape, channels, channels].map((shape) => ({ dtype: 'float32', shape }) as const);
  const [dx, ds, db] = g.nodes('GroupNormGrad', [dy!.value, x!.value, ...rest], types, { groups }, 'tacit');
  return [
    transpose(g, { value: dx!, shape: x!.shape, dtype: 'float32' }, TO_CHANNELS_LAST),
    { value: ds!, shape: channels, dtype: 'float32' },
    { value: db!, shape: channels, dtype: 'float32' },
  ];
}

/** x [n, d], scale, offset → y, mean [n, 1], 1/√(var + ε) [n, 1]; ONNX has it as one operator. */
function layerNorm(call: Call): Traced[] {
  const { g } = call;
  const { epsilon } = call.attrs as { epsilon: number };
  const [x, scale, offset] = ['x', 'scale', 'offset'].map((name) => input(call, name));
  const moments = [x!.shape[0]!, 1];
  const shapes = [x!.shape, moments, moments];
  const types = shapes.map((shape) => ({ dtype: 'float32', shape }) as const);
  const attributes = { axis: -1, epsilon: { float: epsilon } };
  const values = g.nodes('LayerNormalization', [x!.value, scale!.value, offset!.value], types, attributes);
  return values.map((value, i): Traced => ({ value, shape: shapes[i]!, dtype: 'float32' }));
}

/** a·x + b with one a and b per row of x: [n, d]; ONNX's BatchNormalization, rows taken as channels, does it in one pass. */
function affineRows(g: GraphBuilder, x: Traced, a: Traced, b: Traced): Traced {
  const [n, d] = x.shape as [number, number];
  const [zeros, ones] = [filled(g, [n], 0, 'float32'), filled(g, [n], 1, 'float32')];
  const rows = [reshape(g, x, [1, n, d]), reshape(g, a, [n]), reshape(g, b, [n]), zeros, ones];
  return reshape(g, emit(g, 'BatchNormalization', rows, { attributes: { epsilon: { float: 0 } } }), [n, d]);
}

/**
 * dy, x [n, d], mean, inverse deviation r [n, 1], scale γ [d] → dx, dscale, doffset:
 * dx = (r·γ·dy − r·m₁) − r·m₂·x̂ with the means over rows m₁ of γ·dy and m₂ of γ·dy·x̂, which are products with γ/d.
 */
function layerNormGrad(call: Call): Traced[] {
  const { g } = call;
  const [dy, x, mean, r, scale] = ['dy', 'x', 'mean', 'inverse', 'scale'].map((name) => input(call, name)) as [
    Traced,
    Traced,
    Traced,
    Traced,
    Traced,
  ];
  const [n, d] = x.shape as [number, number];
  const hat = affineRows(g, x, r, unary(g, 'Neg', binary(g, 'Mul', mean, r)));
  const product = binary(g, 'Mul', dy, hat);
  const weights = reshape(g, binary(g, 'Mul', scale, scalarLike(g, scale, 1 / d)), [d, 1]);
  const along = (rows: Traced): Traced => emit(g, 'MatMul', [rows, weights], { shape: [n, 1] });
  const direct = affineRows(g, binary(g, 'Mul', dy, scale), r, unary(g, 'Neg', binary(g, 'Mul', along(dy), r)));
  const dx = binary(g, 'Sub', direct, binary(g, 'Mul', hat, binary(g, 'Mul', along(product), r)));
  return [dx, reduce(g, 'ReduceSum', product, [0], false), reduce(g, 'ReduceSum', dy, [0], false)];
}

export const LAYER_NORM = 'TacitLayerNorm';
export const LAYER_NORM_GRAD = 'TacitLayerNormGrad';
export const GROUP_NORM = 'TacitGroupNorm';
export const GROUP_NORM_GRAD = 'TacitGroupNormGrad';

export const compositeKernels: Kernels = {
  [LAYER_NORM]: layerNorm as Kernel,
  [LAYER_NORM_GRAD]: layerNormGrad as Kernel,
  [GROUP_NORM]: groupNorm as Kernel,
  [GROUP_NORM_GRAD]: groupNormGrad as Kernel,
};
