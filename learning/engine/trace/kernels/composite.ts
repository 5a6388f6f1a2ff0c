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

export const GROUP_NORM = 'TacitGroupNorm';
export const GROUP_NORM_GRAD = 'TacitGroupNormGrad';

export const compositeKernels: Kernels = {
  [GROUP_NORM]: groupNorm as Kernel,
  [GROUP_NORM_GRAD]: groupNormGrad as Kernel,
};
