/** The rewrites of a graph for this executor: what has no kernel of its own is put together from loops, which are fused later. */
import type { Graph, Value } from '../onnx/graph.ts';
import { cleanUp } from '../rewrites/clean-up.ts';
import { removeDeadNodes } from '../rewrites/dead-nodes.ts';
import { type Algebra, lowerNormalisationBy, type Passes } from '../rewrites/lower-normalisation.ts';
import { type Rewrite, rebuild, type Site } from '../rewrites/rebuild.ts';

/** Passes of a group normalisation over activations [n, positions, c], channels last as convolutions leave them. */
function channelsLast({ g }: Site, l: Algebra): Passes {
  const transposed = (x: Value, perm: readonly number[]): Value => {
    const from = l.shapeOf(x);
    return l.node(
      'Transpose',
      [x],
      perm.map((p) => from[p]!),
      { perm },
    );
  };
  let picture: readonly number[] = [];
  const row = (value: Value, x: Value): Value => {
    const [n, , c] = l.shapeOf(x) as [number, number, number];
    return l.reshape(value, [n, 1, c]);
  };
  const overPositions = (op: string, x: Value): Value => {
    const [n, , c] = l.shapeOf(x) as [number, number, number];
    return l.reshape(l.node(op, [x, g.ints([1])], [n, c], { keepdims: 0 }), [n * c]);
  };
  return {
    enter: (x) => {
      const last = transposed(x, [0, 2, 3, 1]);
      picture = l.shapeOf(last);
      const [n, h, w, c] = picture as [number, number, number, number];
      return l.reshape(last, [n, h * w, c]);
    },
    leave: (x) => transposed(l.reshape(x, picture), [0, 3, 1, 2]),
    mean: (x) => overPositions('ReduceMean', x),
    dot: (x, y) => overPositions('ReduceSum', l.mul(x, y)),
    affine: (x, a, b, plus) => {
      const scaled = l.mul(x, row(a, x));
      const moved = b === undefined ? scaled : l.add(scaled, row(b, x));
      return plus === undefined ? moved : l.add(moved, plus);
    },
  };
}

const axisOf = ({ node }: Site, rank: number): number => ((node.attributes.axis as number) + rank) % rank;

/** Short names for float nodes. */
function nodes({ g }: Site) {
  const shapeOf = (value: Value): readonly number[] => g.typeOf(value).shape;
  const node = (op: string, inputs: Value[], shape: readonly number[], attributes = {}): Value =>
    g.node(op, inputs, { dtype: 'float32', shape }, attributes);
  const reduced = (op: string, x: Value, axis: number): Value =>
    node(
      op,
      [x, g.ints([axis])],
      shapeOf(x).map((d, i) => (i === axis ? 1 : d)),
      { keepdims: 1 },
    );
  return { shapeOf, node, reduced };
}

/** y, mean and 1/√(variance + ε) along the last axis. */
function layerNormalisation(site: Site): Value[] {
  const { g, node } = site;
  const [x, scale, offset] = node.inputs as [Value, Value, Value];
  const { epsilon } = node.attributes as { epsilon: { float: number } };
  const l = nodes(site);
  const shape = l.shapeOf(x);
  const last = shape.length - 1;
  const mean = l.reduced('ReduceMean', x, last);
  const centred = l.node('Sub', [x, mean], shape);
  const variance = l.reduced('ReduceMean', l.node('Mul', [centred, centred], shape), last);
  const small = l.shapeOf(mean);
  const deviation = l.node('Sqrt', [l.node('Add', [variance, g.float(epsilon.float)], small)], small);
  const inverse = l.node('Reciprocal', [deviation], small);
  const scaled = l.node('Mul', [l.node('Mul', [centred, inverse], shape), scale], shape);
  return [l.node('Add', [scaled, offset], shape), mean, inverse];
}

/** eˣ over the sum of such along an axis. */
function softmax(site: Site): Value[] {
  const [x] = site.node.inputs as [Value];
  const l = nodes(site);
  const shape = l.shapeOf(x);
  const axis = axisOf(site, shape.length);
  const shifted = l.node('Sub', [x, l.reduced('ReduceMax', x, axis)], shape); // so that no power overflows
  const powers = l.node('Exp', [shifted], shape);
  return [l.node('Div', [powers, l.reduced('ReduceSum', powers, axis)], shape)];
}

/** a·x + b by channel, which is all that BatchNormalization is used for here: mean 0, variance 1, no ε. */
function channelAffine(site: Site): Value[] | undefined {
  const [x, a, b, mean, variance] = site.node.inputs as [Value, Value, Value, Value, Value];
  const { epsilon } = site.node.attributes as { epsilon?: { float: number } };
  const isAll = (value: Value, number: number): boolean =>
    site.constant(value)?.data.every((each: number | bigint | boolean) => each === number) ?? false;
  if (epsilon?.float !== 0 || !isAll(mean, 0) || !isAll(variance, 1)) return undefined;
  const l = nodes(site);
  const shape = l.shapeOf(x);
  const channels = shape.map((d, i) => (i === 1 ? d : 1));
  const along = (value: Value): Value => l.node('Reshape', [value, site.g.ints(channels)], channels);
  return [l.node('Add', [l.node('Mul', [x, along(a)], shape), along(b)], shape)];
}

const lowerComposites: Rewrite = (graph) =>
  rebuild(graph, (site) => {
    const { op, attributes } = site.node;
    if (op === 'Softmax') return softmax(site);
    if (op === 'BatchNormalization') return channelAffine(site);
    return op === 'LayerNormalization' && attributes.axis === -1 ? layerNormalisation(site) : undefined;
  });

/** The graph in operators that have kernels here, as far as there are any. */
export const lower = (graph: Graph): Graph =>
  [removeDeadNodes, ...cleanUp, lowerNormalisationBy(channelsLast), lowerComposites, ...cleanUp].reduce(
    (g, rewrite) => rewrite(g),
    graph,
  );
