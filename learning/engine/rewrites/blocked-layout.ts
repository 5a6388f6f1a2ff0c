/**
 * ONNX Runtime's blocked layout, in which its direct convolutions work without columns: behind the shape [n, c, h, w] lie
 * [n, c/b, h, w, b] numbers. The block b is the processor's (8 floats with AVX2, 16 with AVX-512). A convolution of one weight
 * per channel is an affine map, and one with a picture-sized kernel per channel a scalar product, each in a single pass.
 */
import { ABSENT, type Attributes, type GraphBuilder, type Value } from '../onnx/graph.ts';

export const BLOCKED = 'com.microsoft.nchwc';

export type Size4 = readonly [number, number, number, number];

export interface BlockedConvolution {
  readonly strides?: readonly number[];
  /** top, left, bottom, right */
  readonly pads?: readonly number[];
  readonly dilations?: readonly number[];
  readonly group?: number;
  readonly kernel: readonly number[];
}

/** Nodes over float32 values in the blocked layout. */
export interface BlockedLayout {
  node(op: string, inputs: readonly Value[], shape: readonly number[], attributes?: Attributes): Value;
  shapeOf(value: Value): Size4;
  reshape(x: Value, shape: readonly number[]): Value;
  transpose(x: Value, perm: readonly number[]): Value;
  toBlocked(x: Value): Value;
  fromBlocked(x: Value): Value;
  /** Weights [kh, kw, c, o] as a filter [o, c, kh, kw] in blocks; exchanged: [c, o, kh, kw], what was put out is read. */
  filter(w: Value, exchanged?: boolean): Value;
  /** → blocked [n, o, h′, w′]; x is blocked too, unless it has fewer channels than a block. `plus` is added. */
  convolve(x: Value, filter: Value, shape: Size4, options: BlockedConvolution, bias?: Value, plus?: Value): Value;
  /** a·x + b with a, b: [n·c] per example and channel, plus what is given; one pass. */
  affine(x: Value, a: Value, b?: Value, plus?: Value): Value;
  /** Σ x·y over positions: [n·c]; one pass. */
  dot(x: Value, y: Value): Value;
  /** Mean over positions: [n·c]. */
  mean(x: Value): Value;
}

/** Whether a number of channels is made of whole blocks. */
export const isBlocked = (channels: number, block: number): boolean => block > 0 && channels % block === 0;

export function blockedLayout(g: GraphBuilder, block: number): BlockedLayout {
  const shapeOf = (value: Value): Size4 => g.typeOf(value).shape as Size4;
  const node: BlockedLayout['node'] = (op, inputs, shape, attributes = {}) =>
    g.node(op, inputs, { dtype: 'float32', shape }, attributes);
  const blocked: BlockedLayout['node'] = (op, inputs, shape, attributes = {}) =>
    g.node(op, inputs, { dtype: 'float32', shape }, attributes, BLOCKED);
  const reshape = (x: Value, shape: readonly number[]): Value => node('Reshape', [x, g.ints(shape)], shape);
  const transpose = (x: Value, perm: readonly number[]): Value => {
    const shape = g.typeOf(x).shape;
    return node(
      'Transpose',
      [x],
      perm.map((p) => shape[p]!),
      { perm },
    );
  };
  const convolve: BlockedLayout['convolve'] = (x, filter, shape, options, bias = ABSENT, plus = ABSENT) => {
    const { strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], group = 1, kernel } = options;
    const inputs = [x, filter, bias, plus];
    while (inputs.at(-1) === ABSENT) inputs.pop();
    return blocked('Conv', inputs, shape, { strides, pads, dilations, group, kernel_shape: kernel });
  };
  /** Examples taken as channels, so that each has weights of its own. */
  const rows = (x: Value): { readonly x: Value; readonly count: number; readonly size: Size4 } => {
    const [n, c, h, w] = shapeOf(x);
    const size = [1, n * c, h, w] as const;
    return { x: reshape(x, size), count: n * c, size };
  };
  return {
    node,
    shapeOf,
    reshape,
    transpose,
    convolve,
    toBlocked: (x) => blocked('ReorderInput', [x], shapeOf(x)),
    fromBlocked: (x) => blocked('ReorderOutput', [x], shapeOf(x), { channels: shapeOf(x)[1], channels_last: 0 }),
    filter: (w, exchanged = false) => {
      const [kh, kw, c, o] = shapeOf(w);
      if (c < block && !exchanged) {
        const few = transpose(reshape(w, [kh, kw, c, o / block, block]), [3, 2, 0, 1, 4]);
        return reshape(few, [o, c, kh, kw]);
      }
      const blocks = reshape(w, [kh, kw, c / block, block, o / block, block]);
      return exchanged
        ? reshape(transpose(blocks, [2, 4, 0, 1, 5, 3]), [c, o, kh, kw])
        : reshape(transpose(blocks, [4, 2, 0, 1, 3, 5]), [o, c, kh, kw]);
    },
    affine: (x, a, b, plus) => {
      const flat = rows(x);
      const sum = plus === undefined ? undefined : reshape(plus, flat.size);
      const weights = reshape(a, [flat.count, 1, 1, 1]);
      const y = convolve(flat.x, weights, flat.size, { group: flat.count, kernel: [1, 1] }, b, sum);
      return reshape(y, shapeOf(x));
    },
    dot: (x, y) => {
      const { x: flat, count, size } = rows(x);
      const weights = reshape(y, [count, 1, size[2], size[3]]);
      const options = { group: count, kernel: [size[2], size[3]] };
      return reshape(convolve(flat, weights, [1, count, 1, 1], options), [count]);
    },
    mean: (x) => {
      const [n, c] = shapeOf(x);
      return reshape(blocked('GlobalAveragePool', [x], [n, c, 1, 1]), [n * c]);
    },
  };
}
