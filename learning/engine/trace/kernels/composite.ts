/**
 * Kernels that tfjs does not have, called by the composites of ../composites.ts: operations that stay whole until a lowering
 * chooses how to compute them. Images are [batch, channels, height, width] inside, as for convolutions.
 */
import { type Call, input, type Kernel, type Kernels, type Traced, transpose } from '../emit.ts';
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

export const LAYER_NORM = 'TacitLayerNorm';
export const GROUP_NORM = 'TacitGroupNorm';
export const GROUP_NORM_GRAD = 'TacitGroupNormGrad';

export const compositeKernels: Kernels = {
  [LAYER_NORM]: layerNorm as Kernel,
  [GROUP_NORM]: groupNorm as Kernel,
  [GROUP_NORM_GRAD]: groupNormGrad as Kernel,
};
