/**
 * Gradients of convolutions as ONNX operators, [batch, channels, height, width] with filters [out, in, height, width].
 * The gradient of the input is a ConvTranspose. The gradient of the filter of an ordinary convolution is one product of the
 * output's gradient with the gathered columns of the input; of a depthwise one, a product and a sum for each tap.
 */
import type { Attributes, Graph, Value } from '../onnx/graph.ts';
import { rebuild, type Site } from './rebuild.ts';

export interface ConvGeometry {
  readonly strides: readonly [number, number];
  /** top, left, bottom, right */
  readonly pads: readonly [number, number, number, number];
  readonly dilations: readonly [number, number];
  readonly group: number;
}

export const geometryOf = (attributes: Attributes): ConvGeometry => attributes as unknown as ConvGeometry;

type Size4 = readonly [number, number, number, number];

/** dx from dy and the filter. */
export function gradInput({ g, node }: Site, shape: Size4): Value {
  const [dy, filter] = node.inputs as [Value, Value];
  const { strides, pads, dilations, group } = geometryOf(node.attributes);
  const [, , outH, outW] = g.typeOf(dy).shape as Size4;
  const [, , kh, kw] = g.typeOf(filter).shape as Size4;
  // Rows that no window reached, because the strides did not divide evenly.
  const rest = (size: number, out: number, k: number, axis: 0 | 1): number =>
    size + pads[axis] + pads[(axis + 2) as 2 | 3] - ((out - 1) * strides[axis] + (k - 1) * dilations[axis] + 1);
  const attributes = {
    strides,
    pads,
    dilations,
    group,
    output_padding: [rest(shape[2], outH, kh, 0), rest(shape[3], outW, kw, 1)],
  };
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

/** dw of an ordinary convolution, as a convolution of the input by the output's gradient with batch and channels exchanged. */
function gradFilter(site: Site, shape: Size4): Value {
  const { g, node } = site;
  const [x, dy] = node.inputs as [Value, Value];
  const { strides, pads, dilations } = geometryOf(node.attributes);
  const swapped = (value: Value): Value => {
    const [n, c, h, w] = g.typeOf(value).shape as Size4;
    return g.node('Transpose', [value], { dtype: 'float32', shape: [c, n, h, w] }, { perm: [1, 0, 2, 3] });
  };
  const [, c, h, w] = g.typeOf(x).shape as Size4;
  const [, o, outH, outW] = g.typeOf(dy).shape as Size4;
  const size = (length: number, out: number, axis: 0 | 1): number =>
    Math.floor((length + pads[axis] + pads[(axis + 2) as 2 | 3] - ((out - 1) * strides[axis] + 1)) / dilations[axis]) +
    1;
  const full = [c, o, size(h, outH, 0), size(w, outW, 1)];
  const attributes = { strides: dilations, dilations: strides, pads, group: 1 };
  const all = g.node('Conv', [swapped(x), swapped(dy)], { dtype: 'float32', shape: full }, attributes);
  const [, , kh, kw] = shape;
  const cut =
    full[2] === kh && full[3] === kw
      ? all
      : g.node('Slice', [all, g.ints([0, 0]), g.ints([kh, kw]), g.ints([2, 3])], {
          dtype: 'float32',
          shape: [c, o, kh, kw],
        });
  return g.node('Transpose', [cut], { dtype: 'float32', shape }, { perm: [1, 0, 2, 3] });
}

export function lowerConvolutions(graph: Graph): Graph {
  return rebuild(graph, (site) => {
    const { node } = site;
    if (node.domain !== 'tacit') return undefined;
    const shape = graph.types.get(node.outputs[0]!)!.shape as Size4;
    if (node.op === 'ConvGradInput') return [gradInput(site, shape)];
    if (node.op !== 'ConvGradFilter') return undefined;
    return [geometryOf(node.attributes).group === 1 ? gradFilter(site, shape) : depthwiseGradFilter(site, shape)];
  });
}
