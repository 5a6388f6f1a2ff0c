/** From the nodes of a graph to operations: what only moves elements becomes a view, what is left writes a buffer. */
import { sizeOf } from '../../../protocol/tensors.ts';
import { ABSENT, type Graph, type Node, type Value } from '../onnx/graph.ts';
import { isArithmetic } from './arithmetic.ts';
import { concat, pad, slice, tile } from './moves.ts';
import { type Program, Uncovered } from './operations.ts';
import { isReduction } from './reductions.ts';
import { Resolver } from './resolver.ts';
import { broadcast, isDense, permuted, type View, whole } from './views.ts';

const TO_LAST = [0, 2, 3, 1];
const TO_FIRST = [0, 3, 1, 2];

function reduce(r: Resolver, node: Node): void {
  const [x, axes] = node.inputs as [Value, Value?];
  const from = r.view(x);
  const { dtype } = r.typeOf(x);
  if (dtype !== 'float32') throw new Uncovered(`${node.op} of ${dtype}`);
  const rank = from.shape.length;
  const given = (r.ints(axes) ?? from.shape.map((_, i) => i)).map((axis) => (axis + rank) % rank);
  const out = whole(
    node.outputs[0]!,
    from.shape.map((d, i) => (given.includes(i) ? 1 : d)),
  );
  const strides = out.strides.map((stride, i) => (given.includes(i) ? 0 : stride));
  const into = { ...out, shape: from.shape, strides };
  r.add({ kind: 'reduce', op: node.op, shape: from.shape, inputs: [from], into });
}

function product(r: Resolver, node: Node): void {
  const [left, right] = node.inputs.map((v) => r.forwards(r.view(v))) as [View, View];
  const into = r.view(node.outputs[0]!);
  if (left.shape.length < 2 || right.shape.length < 2) throw new Uncovered('a product with a vector');
  const batch = into.shape.slice(0, -2);
  const inputs = [left, right].map((v) => broadcast(v, [...batch, ...v.shape.slice(-2)]));
  r.add({ kind: 'product', op: node.op, shape: into.shape, inputs, into });
}

/** Images with channels next to one another, whatever their axes are called. */
const channelsLast = (r: Resolver, view: View): View => r.dense(permuted(view, TO_LAST));

function convolution(r: Resolver, node: Node): void {
  const [given, filter] = node.inputs.map((v) => r.view(v)) as [View, View];
  const { op, attributes } = node;
  const { group, dilations } = attributes as { group: number; dilations: readonly number[] };
  if (group !== 1 || dilations.some((d) => d !== 1)) throw new Uncovered(`${op} with groups or dilation`);
  if (node.inputs.length > 2) throw new Uncovered(`${op} with a bias`);
  const [y] = node.outputs as [Value];
  const [a, b, c, d] = r.shapeOf(y) as [number, number, number, number];
  const x = channelsLast(r, given);
  if (op === 'ConvGradFilter') {
    // [out, in, height, width], written as [height, width, in, out]
    const into = r.fresh([c, d, b, a], 'float32');
    r.see(y, permuted(into, [3, 2, 0, 1]));
    const inputs = [x, channelsLast(r, filter)];
    r.add({ kind: 'filter-gradient', op, shape: into.shape, inputs, into, attributes });
    return;
  }
  const into = r.fresh([a, c, d, b], 'float32');
  r.see(y, permuted(into, TO_FIRST));
  r.add({ kind: 'convolution', op, shape: into.shape, inputs: [x, r.forwards(filter)], into, attributes });
}

function gather(r: Resolver, { op, inputs: given, outputs: [y], attributes }: Node): void {
  const into = r.view(y!);
  const inputs = given.map((v) => r.dense(r.view(v)));
  r.add({ kind: 'gather', op, shape: into.shape, inputs, into, attributes });
}

function map(r: Resolver, node: Node): void {
  const [y] = node.outputs as [Value];
  const { dtype } = r.typeOf(node.inputs[0]!);
  const optional = node.outputs.length > 1 || node.inputs.includes(ABSENT);
  if (optional || !isArithmetic(node.op, dtype, r.typeOf(y).dtype))
    throw new Uncovered(node.domain === '' ? `${node.op} of ${dtype}` : `${node.domain}.${node.op}`);
  const inputs = node.inputs.map((v) => r.view(v));
  r.map(node.op, inputs, r.view(y), node.attributes);
}

/** What becomes of each operator: a view of what there is, or operations. */
const VIEWS: Readonly<Record<string, (r: Resolver, node: Node, x: View) => View>> = {
  Identity: (_r, _node, x) => x,
  Transpose: (_r, node, x) => permuted(x, node.attributes.perm as number[]),
  Reshape: (r, node, x) => r.reshape(x, r.shapeOf(node.outputs[0]!)),
  Expand: (r, node, x) => broadcast(x, r.shapeOf(node.outputs[0]!)),
  Slice: slice,
  Tile: tile,
};
const OPERATIONS: Readonly<Record<string, (r: Resolver, node: Node) => void>> = {
  Concat: concat,
  Pad: pad,
  MatMul: product,
  Gather: gather,
  Conv: convolution,
  ConvGradInput: convolution,
  ConvGradFilter: convolution,
};

function resolveNode(r: Resolver, node: Node): void {
  const [x] = node.inputs as [Value];
  const view = VIEWS[node.op];
  const operation = OPERATIONS[node.op] ?? (isReduction(node.op) ? reduce : map);
  if (view) r.see(node.outputs[0]!, view(r, node, r.view(x)));
  else operation(r, node);
}

/** The buffer of an output: its own, so that it can be read and carried. */
function ownBuffer(r: Resolver, value: Value, taken: ReadonlySet<Value>): Value {
  const view = r.view(value);
  const type = r.typeOf(view.root);
  const isWhole = isDense(view) && view.offset === 0 && sizeOf(type.shape) === sizeOf(view.shape);
  if (isWhole && !taken.has(view.root)) return view.root;
  const made = r.fresh(view.shape, type.dtype);
  r.map('Identity', [view], made);
  return made.root;
}

/**
 * The operations of a graph, in its order.
 * @throws Uncovered when a node has no kernel here
 */
export function resolve(graph: Graph): Program {
  for (const [value, { shape }] of graph.types)
    if (sizeOf(shape) === 0 && !graph.constants.has(value)) throw new Uncovered('tensors without elements');
  const r = new Resolver(graph);
  for (const node of graph.nodes) resolveNode(r, node);
  const taken = new Set<Value>([...graph.inputs.map(({ value }) => value), ...graph.constants.keys()]);
  const outputs = graph.outputs.map(({ value }) => {
    const root = ownBuffer(r, value, taken);
    taken.add(root);
    return root;
  });
  return { operations: r.operations, types: r.types, constants: r.constants, outputs };
}
