/**
 * Convolutions and their gradients as ONNX Runtime's direct convolutions over blocked channels, where channels come in whole
 * blocks. Each takes its operands into the blocked layout and its result out of it; cancel-reorders.ts removes what meets.
 *
 * The gradient of the input at stride s is s·s small convolutions, one for each remainder of the position, interleaved.
 * The gradient of the filter is a convolution too: channels are its examples, examples its channels, and the output's
 * gradient its kernel, as large as the picture. Nothing is gathered into columns.
 */
import { BEFORE_FIRST, type Graph, type Value } from '../onnx/graph.ts';
import { type BlockedLayout, blockedLayout, isBlocked, type Size4 } from './blocked-layout.ts';
import { type ConvGeometry, geometryOf, unreached } from './lower-convolution.ts';
import { type Rewrite, rebuild, type Site } from './rebuild.ts';

/** ONNX's filters [o, c, kh, kw] as [kh, kw, c, o], which is how our weights are held: the transposes meet and vanish. */
const TAPS_FIRST = [2, 3, 1, 0];

/** x blocked, or as it is where a convolution reads few channels unblocked. */
const operand = (l: BlockedLayout, x: Value, block: number): Value => (l.shapeOf(x)[1] < block ? x : l.toBlocked(x));

function forward({ node }: Site, l: BlockedLayout, block: number, shape: Size4): Value | undefined {
  const [x, w, bias] = node.inputs as [Value, Value, Value?];
  const [o, c, kh, kw] = l.shapeOf(w);
  const { strides, pads, dilations, group } = geometryOf(node.attributes);
  if (bias !== undefined || group !== 1 || !isBlocked(o, block) || (c >= block && c % block !== 0)) return undefined;
  const options = { strides, pads, dilations, kernel: [kh, kw] };
  return l.fromBlocked(l.convolve(operand(l, x, block), l.filter(l.transpose(w, TAPS_FIRST)), shape, options));
}

/** One axis of one remainder: the taps that reach it, last first, and the padding of the output's gradient. */
interface Residue {
  readonly taps: readonly number[];
  readonly before: number;
  readonly after: number;
}

/** For positions s·k + r, the taps u with s·p + u − pad = s·k + r, ordered by p. */
function residues(size: number, out: number, kernel: number, stride: number, pad: number): Residue[] {
  return Array.from({ length: stride }, (_, r) => {
    const taps = Array.from({ length: kernel }, (_, i) => kernel - 1 - i).filter((u) => (r + pad - u) % stride === 0);
    if (taps.length === 0) return { taps, before: 0, after: 0 };
    const first = (r + pad - taps[0]!) / stride;
    const last = (r + pad - taps.at(-1)!) / stride;
    return { taps, before: 0 - first, after: size / stride - 1 + last - (out - 1) };
  });
}

/** Of a filter [kh, kw, c, o] the taps of one remainder, as a blocked filter [c, o, …] with channels in and out exchanged. */
function tapsOf({ g }: Site, l: BlockedLayout, filter: Value, stride: number, axes: readonly Residue[]) {
  const [, , c, o] = l.shapeOf(filter);
  const from = axes.map(({ taps }) => taps[0]!);
  const to = axes.map(() => BEFORE_FIRST);
  const steps = g.ints([-stride, -stride]);
  const [h, w] = axes.map(({ taps }) => taps.length) as [number, number];
  const taps = l.node('Slice', [filter, g.ints(from), g.ints(to), g.ints([0, 1]), steps], [h, w, c, o]);
  return l.filter(taps, true);
}

/** Blocked pictures [n, c, h, w] of the remainders, row by row → [n, c, s·h, s·w]. */
function interleave(l: BlockedLayout, parts: readonly (readonly Value[])[], block: number, small: Size4): Value {
  const [n, c, h, w] = small;
  const stride = parts.length;
  const pixels = (n * c * h * w) / block;
  const lines = parts.map((row) =>
    l.node(
      'Concat',
      row.map((x) => l.reshape(x, [pixels, block])),
      [pixels, stride * block],
      { axis: 1 },
    ),
  );
  const [count, length] = [pixels / w, w * stride * block];
  const flat = lines.map((x) => l.reshape(x, [count, length]));
  const all = l.node('Concat', flat, [count, stride * length], { axis: 1 });
  return l.reshape(all, [n, c, stride * h, stride * w]);
}

function inputGradient(site: Site, l: BlockedLayout, block: number, shape: Size4): Value | undefined {
  const { g, node } = site;
  const [dy, w] = node.inputs as [Value, Value];
  const [o, c, kh, kw] = l.shapeOf(w);
  const { strides, pads, dilations, group } = geometryOf(node.attributes);
  const [stride] = strides;
  const [n, , height, width] = shape;
  const [, , outH, outW] = l.shapeOf(dy);
  const square = strides[1] === stride && dilations.every((d) => d === 1) && group === 1;
  if (!square || !isBlocked(o, block) || !isBlocked(c, block) || height % stride || width % stride) return undefined;
  const rows = residues(height, outH, kh, stride, pads[0]);
  const columns = residues(width, outW, kw, stride, pads[1]);
  if ([...rows, ...columns].some(({ before, after }) => before < 0 || after < 0)) return undefined;
  const small = [n, c, height / stride, width / stride] as const;
  const from = l.toBlocked(dy);
  const taps = l.transpose(w, TAPS_FIRST);
  const zeros = (): Value => g.constant({ dtype: 'float32', shape: small, data: Float32Array.of(0) });
  const parts = rows.map((row) =>
    columns.map((column) => {
      const kernel = [row.taps.length, column.taps.length];
      if (kernel.includes(0)) return zeros();
      const filter = tapsOf(site, l, taps, stride, [row, column]);
      const around = [row.before, column.before, row.after, column.after];
      return l.convolve(from, filter, small, { pads: around, kernel });
    }),
  );
  return l.fromBlocked(stride === 1 ? parts[0]![0]! : interleave(l, parts, block, small));
}

/** x [n, c, h, w] → blocked [c, n, H, W] with zeros around it: what an image is to the other convolutions, a channel is here. */
function exchangedPictures({ g }: Site, l: BlockedLayout, x: Value, pads: ConvGeometry['pads'], block: number): Value {
  const [n, c, h, w] = l.shapeOf(x);
  const pictures = l.toBlocked(l.transpose(x, [1, 0, 2, 3]));
  if (pads.every((p) => p === 0)) return pictures;
  const [top, left, bottom, right] = pads;
  const lines = l.reshape(pictures, [(c * n) / block, h, w * block]);
  const [height, width] = [h + top + bottom, w + left + right];
  const around = g.ints([0, top, left * block, 0, bottom, right * block]);
  return l.reshape(l.node('Pad', [lines, around], [(c * n) / block, height, width * block]), [c, n, height, width]);
}

/** A blocked dy [n, o, h, w] as a filter [o, n, h, w] of blocks of inputs (examples) and outputs. */
function pictureFilter(l: BlockedLayout, dy: Value, block: number): Value {
  const [n, o, h, w] = l.shapeOf(dy);
  const blocks = l.reshape(l.toBlocked(dy), [n / block, block, o / block, h * w, block]);
  return l.reshape(l.transpose(blocks, [2, 0, 3, 1, 4]), [o, n, h, w]);
}

function filterGradient(site: Site, l: BlockedLayout, block: number, shape: Size4): Value | undefined {
  const { g, node } = site;
  const [x, dy] = node.inputs as [Value, Value];
  const [o, c, kh, kw] = shape;
  const geometry = geometryOf(node.attributes);
  const { strides, pads, dilations, group } = geometry;
  const [n, , outH, outW] = l.shapeOf(dy);
  // A kernel of one tap is a plain product of matrices.
  if (group !== 1 || kh * kw === 1 || !isBlocked(o, block) || !isBlocked(n, block)) return undefined;
  const [, , height, width] = l.shapeOf(x);
  // rows that no window reached would be taken for further taps
  const rest = [unreached(geometry, 0, height, outH, kh), unreached(geometry, 1, width, outW, kw)];
  if (rest.some((count, axis) => count >= dilations[axis]!)) return undefined;
  const pictures = exchangedPictures(site, l, x, pads, block);
  const options = { strides: dilations, dilations: strides, kernel: [outH, outW] };
  const dw = l.fromBlocked(l.convolve(pictures, pictureFilter(l, dy, block), [c, o, kh, kw], options));
  return g.node('Transpose', [dw], { dtype: 'float32', shape }, { perm: [1, 0, 2, 3] });
}

/** The rewrite for a block of channels; 0: none, the graph stays as it is. */
export const blockConvolutions =
  (block: number): Rewrite =>
  (graph: Graph) =>
    rebuild(graph, (site) => {
      const { g, node } = site;
      const shape = graph.types.get(node.outputs[0]!)!.shape as Size4;
      if (block === 0 || shape.length !== 4) return undefined;
      const l = blockedLayout(g, block);
      let value: Value | undefined;
      if (node.domain === '' && node.op === 'Conv') value = forward(site, l, block, shape);
      if (node.domain === 'tacit' && node.op === 'ConvGradInput') value = inputGradient(site, l, block, shape);
      if (node.domain === 'tacit' && node.op === 'ConvGradFilter') value = filterGradient(site, l, block, shape);
      return value === undefined ? undefined : [value];
    });
