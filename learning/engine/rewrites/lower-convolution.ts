/**
 * Gradients of convolutions as ONNX operators, [batch, channels, height, width] with filters [out, in, height, width].
 * The gradient of the input is a ConvTranspose. The gradient of the filter of an ordinary convolution is one product of the
 * output's gradient with the gathered columns of the input; of a depthwise one, a product and a sum for each tap.
 */
import { type Attributes, BEFORE_FIRST, type Graph, type Value } from '../onnx/graph.ts';
import type { Size4 } from './blocked-layout.ts';
import { rebuild, type Site } from './rebuild.ts';

export interface ConvGeometry {
  readonly strides: readonly [number, number];
  /** top, left, bottom, right */
  readonly pads: readonly [number, number, number, number];
  readonly dilations: readonly [number, number];
  readonly group: number;
}

export const geometryOf = (attributes: Attributes): ConvGeometry => attributes as unknown as ConvGeometry;

/** Rows (axis 0) or columns (axis 1) at the end of a padded image that no window reached, because the strides did not divide evenly. */
export function unreached(
  { strides, pads, dilations }: ConvGeometry,
  axis: 0 | 1,
  size: number,
  out: number,
  kernel: number,
): number {
  const padded = size + pads[axis] + pads[(axis + 2) as 2 | 3];
  return padded - ((out - 1) * strides[axis] + (kernel - 1) * dilations[axis] + 1);
}

/** dx from dy and the filter. */
function gradInput({ g, node }: Site, shape: Size4): Value {
  const [dy, filter] = node.inputs as [Value, Value];
  const geometry = geometryOf(node.attributes);
  const { strides, pads, dilations, group } = geometry;
  const [, , outH, outW] = g.typeOf(dy).shape as Size4;
  const [, , kh, kw] = g.typeOf(filter).shape as Size4;
  const rest = [unreached(geometry, 0, shape[2], outH, kh), unreached(geometry, 1, shape[3], outW, kw)];
  const attributes = { strides, pads, dilations, group, output_padding: rest };
  return g.node('ConvTranspose', [dy, filter], { dtype: 'float32', shape }, attributes);
}

/** x padded with zeros on its last two axes. */
function padded({ g }: Site, x: Value, pads: ConvGeometry['pads']): Value {
  const [n, c, h, w] = g.typeOf(x).shape as Size4;
  if (pads.every((p) => p === 0)) return x;
  const shape = [n, c, h + pads[0] + pads[2], w + pads[1] + pads[3]];
  return g.node('Pad', [x, g.ints([0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]])], { dtype: 'float32', shape });
}

/** The elements of padded x that one tap of the filter meets: [n, c, outH, outW]. */
function tapOf({ g }: Site, x: Value, tap: readonly [number, number], out: Size4, geometry: ConvGeometry): Value {
  const [n, c] = g.typeOf(x).shape as Size4;
  const { strides, dilations } = geometry;
  const starts = [tap[0] * dilations[0], tap[1] * dilations[1]];
  const ends = [starts[0]! + (out[2] - 1) * strides[0] + 1, starts[1]! + (out[3] - 1) * strides[1] + 1];
  const shape = [n, c, out[2], out[3]];
  return g.node('Slice', [x, g.ints(starts), g.ints(ends), g.ints([2, 3]), g.ints(strides)], {
    dtype: 'float32',
    shape,
  });
}

/** dw of a depthwise convolution: for each tap, Σ over batch and positions of x at the tap times dy. */
function depthwiseGradFilter(site: Site, shape: Size4): Value {
  const { g, node } = site;
  const [x, dy] = node.inputs as [Value, Value];
  const geometry = geometryOf(node.attributes);
  const out = g.typeOf(dy).shape as Size4;
  const [n, c] = g.typeOf(x).shape as Size4;
  const [outC, , kh, kw] = shape;
  const multiplier = outC / c;
  const wide = padded(site, x, geometry.pads);
  const split = [n, c, multiplier, out[2], out[3]];
  const grads = g.node('Reshape', [dy, g.ints(split)], { dtype: 'float32', shape: split });
  const taps = Array.from({ length: kh * kw }, (_, i) => {
    const seen = tapOf(site, wide, [Math.floor(i / kw), i % kw], out, geometry);
    const narrow = [n, c, 1, out[2], out[3]];
    const x5 = g.node('Reshape', [seen, g.ints(narrow)], { dtype: 'float32', shape: narrow });
    const product = g.node('Mul', [grads, x5], { dtype: 'float32', shape: split });
    const sum = g.node(
      'ReduceSum',
      [product, g.ints([0, 3, 4])],
      { dtype: 'float32', shape: [c, multiplier] },
      { keepdims: 0 },
    );
    return g.node('Reshape', [sum, g.ints([outC, 1])], { dtype: 'float32', shape: [outC, 1] });
  });
  const flat = g.node('Concat', taps, { dtype: 'float32', shape: [outC, kh * kw] }, { axis: 1 });
  return g.node('Reshape', [flat, g.ints(shape)], { dtype: 'float32', shape });
}

/** For each output position and tap, which position of the padded image it sees. */
export function tapPositions(
  kernel: readonly [number, number],
  out: Size4,
  width: number,
  geometry: ConvGeometry,
): number[] {
  const { strides, dilations } = geometry;
  const positions: number[] = [];
  for (let i = 0; i < out[2]; i++)
    for (let j = 0; j < out[3]; j++)
      for (let u = 0; u < kernel[0]; u++)
        for (let v = 0; v < kernel[1]; v++)
          positions.push((i * strides[0] + u * dilations[0]) * width + j * strides[1] + v * dilations[1]);
  return positions;
}

/** Rows [n·h′·w′, kh·kw·c] of what each output position sees: one gather of whole pixels, channels last. */
function columnsByGather(
  { g }: Site,
  x: Value,
  kernel: readonly [number, number],
  out: Size4,
  geometry: ConvGeometry,
): Value {
  const node = (op: string, inputs: Value[], shape: number[], attributes = {}): Value =>
    g.node(op, inputs, { dtype: 'float32', shape }, attributes);
  const [n, c, h, w] = g.typeOf(x).shape as Size4;
  const [top, left, bottom, right] = geometry.pads;
  const last = node('Transpose', [x], [n, h, w, c], { perm: [0, 2, 3, 1] });
  const [height, width] = [h + top + bottom, w + left + right];
  const padding = g.ints([0, top, left, 0, 0, bottom, right, 0]);
  const wide = geometry.pads.some((p) => p !== 0) ? node('Pad', [last, padding], [n, height, width, c]) : last;
  const flat = node('Reshape', [wide, g.ints([n, height * width, c])], [n, height * width, c]);
  const positions = tapPositions(kernel, out, width, geometry);
  const seen = node('Gather', [flat, g.ints(positions)], [n, positions.length, c], { axis: 1 });
  const rows = [n * out[2] * out[3], kernel[0] * kernel[1] * c];
  return node('Reshape', [seen, g.ints(rows)], rows);
}

/** The same, transposed: [kh·kw·c, n·h′·w′] as slices of channel planes, which are longer than pixels of few channels. */
function columnsBySlices(
  site: Site,
  x: Value,
  kernel: readonly [number, number],
  out: Size4,
  geometry: ConvGeometry,
): Value {
  const { g } = site;
  const [n, c, h, w] = g.typeOf(x).shape as Size4;
  const planes = g.node('Transpose', [x], { dtype: 'float32', shape: [c, n, h, w] }, { perm: [1, 0, 2, 3] });
  const wide = padded(site, planes, geometry.pads);
  const taps = Array.from({ length: kernel[0] * kernel[1] }, (_, i) =>
    tapOf(site, wide, [Math.floor(i / kernel[1]), i % kernel[1]], [c, n, out[2], out[3]], geometry),
  );
  const all = [taps.length * c, n, out[2], out[3]];
  const joined = taps.length === 1 ? taps[0]! : g.node('Concat', taps, { dtype: 'float32', shape: all }, { axis: 0 });
  const flat = [taps.length * c, n * out[2] * out[3]];
  return g.node('Reshape', [joined, g.ints(flat)], { dtype: 'float32', shape: flat });
}

/** Below this a pixel is too short to be gathered by itself. */
const CHANNELS_TO_GATHER = 8;

/** dw of an ordinary convolution: the columns of x times dy, one product. */
function gradFilter(site: Site, shape: Size4): Value {
  const { g, node } = site;
  const [x, dy] = node.inputs as [Value, Value];
  const geometry = geometryOf(node.attributes);
  const [o, c, kh, kw] = shape;
  const out = g.typeOf(dy).shape as Size4;
  const rows = [out[0] * out[2] * out[3], o];
  const last = g.node(
    'Transpose',
    [dy],
    { dtype: 'float32', shape: [out[0], out[2], out[3], o] },
    { perm: [0, 2, 3, 1] },
  );
  const grads = g.node('Reshape', [last, g.ints(rows)], { dtype: 'float32', shape: rows });
  const gathered = c >= CHANNELS_TO_GATHER;
  const columns = (gathered ? columnsByGather : columnsBySlices)(site, x, [kh, kw], out, geometry);
  const type = { dtype: 'float32', shape: [kh * kw * c, o] } as const;
  const flat = g.node('Gemm', [columns, grads], type, gathered ? { transA: 1 } : {});
  const taps = g.node('Reshape', [flat, g.ints([kh, kw, c, o])], { dtype: 'float32', shape: [kh, kw, c, o] });
  return g.node('Transpose', [taps], { dtype: 'float32', shape }, { perm: [3, 2, 0, 1] });
}

/** dx of a convolution of stride 1: a convolution by the filter turned half around, channels in and out exchanged. */
function gradInputUnstrided({ g, node }: Site, shape: Size4): Value {
  const [dy, filter] = node.inputs as [Value, Value];
  const { pads, dilations } = geometryOf(node.attributes);
  const [o, c, kh, kw] = g.typeOf(filter).shape as Size4;
  const exchanged = g.node('Transpose', [filter], { dtype: 'float32', shape: [c, o, kh, kw] }, { perm: [1, 0, 2, 3] });
  const ends = g.ints([-1, -1]);
  const turned = g.node('Slice', [exchanged, ends, g.ints([BEFORE_FIRST, BEFORE_FIRST]), g.ints([2, 3]), ends], {
    dtype: 'float32',
    shape: [c, o, kh, kw],
  });
  const around = pads.map((p, i) => (i % 2 === 0 ? kh - 1 : kw - 1) * dilations[(i % 2) as 0 | 1] - p);
  const attributes = { strides: [1, 1], pads: around, dilations, group: 1 };
  return g.node('Conv', [dy, turned], { dtype: 'float32', shape }, attributes);
}

/** Whether the gradient of the input can be a plain convolution: stride 1 and no more padding than the kernel reaches. */
function isUnstrided({ g, node }: Site): boolean {
  const { strides, pads, dilations, group } = geometryOf(node.attributes);
  const [, , kh, kw] = g.typeOf(node.inputs[1]!).shape as Size4;
  const reach = [(kh - 1) * dilations[0], (kw - 1) * dilations[1]];
  return group === 1 && strides.every((s) => s === 1) && pads.every((p, i) => p <= reach[i % 2]!);
}

export function lowerConvolutions(graph: Graph): Graph {
  return rebuild(graph, (site) => {
    const { node } = site;
    if (node.domain !== 'tacit') return undefined;
    const shape = graph.types.get(node.outputs[0]!)!.shape as Size4;
    if (node.op === 'ConvGradInput')
      return [isUnstrided(site) ? gradInputUnstrided(site, shape) : gradInput(site, shape)];
    if (node.op !== 'ConvGradFilter') return undefined;
    return [geometryOf(node.attributes).group === 1 ? gradFilter(site, shape) : depthwiseGradFilter(site, shape)];
  });
}
