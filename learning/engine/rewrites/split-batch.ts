/**
 * Computes regions of convolutions in parts of the batch: each part is a chain of nodes of its own, which several threads take
 * side by side, where single operators of ONNX Runtime (transpose, padding, normalisation) use one thread only.
 * Gradients of filters, scales and offsets are summed over the parts; what leaves a region is joined again.
 */
import { type Graph, type GraphBuilder, graphBuilder, type Node, type Value, type ValueType } from '../onnx/graph.ts';
import { BROADCASTING, UNARY } from './operators.ts';
import type { Rewrite } from './rebuild.ts';

/** Inputs: each part gets its own, or all get the same. */
type Place = 'split' | 'whole';
/** Outputs: split along the batch, or one for the whole batch, to be summed over the parts. */
type Result = 'split' | 'sum';

/** How the parts of a node are computed. */
interface Plan {
  readonly inputs: readonly Place[];
  readonly outputs: readonly Result[];
}

const REDUCTIONS = new Set('ReduceSum ReduceMean ReduceMax ReduceMin'.split(' '));
const POOLS = new Set(['MaxPool', 'AveragePool']);

/** Operators that begin a region: enough work to be worth splitting. What further inputs they have is for the whole batch. */
const STARTERS: Readonly<Record<string, Plan>> = {
  Conv: { inputs: ['split', 'whole'], outputs: ['split'] },
  ConvGradInput: { inputs: ['split', 'whole'], outputs: ['split'] },
  ConvGradFilter: { inputs: ['split', 'split'], outputs: ['sum'] },
  GroupNorm: { inputs: ['split', 'whole', 'whole'], outputs: ['split', 'split', 'split'] },
  GroupNormGrad: { inputs: ['split', 'split', 'split', 'split', 'whole'], outputs: ['split', 'sum', 'sum'] },
};

/** What a node would need and give, if `batch` examples are taken in parts; nothing if it cannot be. */
function follow(graph: Graph, node: Node, batch: number): Plan | undefined {
  const shapeOf = (value: Value): readonly number[] => graph.types.get(value)!.shape;
  const out = shapeOf(node.outputs[0]!);
  if (node.outputs.length > 1 || out[0] !== batch) return undefined;
  const first: Plan = { inputs: node.inputs.map((_, i) => (i === 0 ? 'split' : 'whole')), outputs: ['split'] };
  if (UNARY.has(node.op) || POOLS.has(node.op)) return first;
  if (node.op === 'Transpose') return (node.attributes.perm as readonly number[])[0] === 0 ? first : undefined;
  if (node.op === 'Reshape') return shapeOf(node.inputs[0]!)[0] === batch ? first : undefined;
  if (REDUCTIONS.has(node.op)) {
    const axes = graph.constants.get(node.inputs[1]!);
    return axes && !Array.from(axes.data, Number).includes(0) ? first : undefined;
  }
  if (!BROADCASTING.has(node.op)) return undefined;
  const inputs = node.inputs.map((value): Place => {
    const shape = shapeOf(value);
    return shape.length === out.length && shape[0] === batch ? 'split' : 'whole';
  });
  return { inputs, outputs: ['split'] };
}

const part = ({ dtype, shape }: ValueType, parts: number): ValueType => ({
  dtype,
  shape: [shape[0]! / parts, ...shape.slice(1)],
});

/** What a reshape is given, its target for one part. */
const reshapedTo = (g: GraphBuilder, [x]: readonly Value[], { shape }: ValueType): readonly Value[] => [
  x!,
  g.ints(shape),
];

/** Values of the new graph for those of the old one: whole, in parts, or both once both were asked for. */
function places(graph: Graph, g: GraphBuilder, parts: number) {
  const whole = new Map<Value, Value>();
  const pieces = new Map<Value, readonly Value[]>();
  const typeOf = (value: Value): ValueType => graph.types.get(value)!;
  const wholeOf = (value: Value): Value => {
    const known = whole.get(value);
    if (known !== undefined) return known;
    const constant = graph.constants.get(value);
    const made = constant ? g.constant(constant) : g.node('Concat', pieces.get(value)!, typeOf(value), { axis: 0 });
    whole.set(value, made);
    return made;
  };
  const piecesOf = (value: Value): readonly Value[] => {
    const known = pieces.get(value);
    if (known) return known;
    const types = Array<ValueType>(parts).fill(part(typeOf(value), parts));
    const made = g.nodes('Split', [wholeOf(value)], types, { axis: 0, num_outputs: parts });
    pieces.set(value, made);
    return made;
  };
  return {
    typeOf,
    wholeOf,
    piecesOf,
    isSplit: (value: Value) => pieces.has(value),
    setWhole: (value: Value, made: Value) => void whole.set(value, made),
    setPieces: (value: Value, made: readonly Value[]) => void pieces.set(value, made),
  };
}

type Places = ReturnType<typeof places>;

function keepWhole(g: GraphBuilder, at: Places, node: Node): void {
  const types = node.outputs.map(at.typeOf);
  const outputs = g.nodes(node.op, node.inputs.map(at.wholeOf), types, node.attributes, node.domain);
  for (const [i, value] of node.outputs.entries()) at.setWhole(value, outputs[i]!);
}

function takeApart(g: GraphBuilder, at: Places, node: Node, plan: Plan, parts: number): void {
  const given = node.inputs.map((value, i) =>
    plan.inputs[i] === 'split' ? at.piecesOf(value) : Array<Value>(parts).fill(at.wholeOf(value)),
  );
  const types = node.outputs.map((value, i) =>
    plan.outputs[i] === 'split' ? part(at.typeOf(value), parts) : at.typeOf(value),
  );
  const results = Array.from({ length: parts }, (_, p) => {
    const inputs = given.map((list) => list[p]!);
    const own = node.op === 'Reshape' ? reshapedTo(g, inputs, types[0]!) : inputs;
    return g.nodes(node.op, own, types, node.attributes, node.domain);
  });
  for (const [i, value] of node.outputs.entries()) {
    const list = results.map((outputs) => outputs[i]!);
    if (plan.outputs[i] === 'split') at.setPieces(value, list);
    else at.setWhole(value, g.node('Sum', list, at.typeOf(value)));
  }
}

function split(graph: Graph, parts: number): Graph {
  const g = graphBuilder(graph.name);
  const at = places(graph, g, parts);
  for (const { name, value } of graph.inputs) at.setWhole(value, g.input(name, at.typeOf(value)));
  const planOf = (node: Node): Plan | undefined => {
    const starter = STARTERS[node.op];
    const inSplit = node.inputs.find((value) => at.isSplit(value) && at.typeOf(value).shape.length > 2);
    const leading = starter ? node.inputs[0]! : inSplit;
    const batch = leading === undefined ? undefined : at.typeOf(leading).shape[0]!;
    if (batch === undefined || batch % parts !== 0) return undefined;
    return starter ?? follow(graph, node, batch);
  };
  for (const node of graph.nodes) {
    g.origin = node.origin;
    const plan = planOf(node);
    if (plan) takeApart(g, at, node, plan, parts);
    else keepWhole(g, at, node);
  }
  return g.finish(graph.outputs.map(({ name, value }) => ({ name, value: at.wholeOf(value) })));
}

/** The rewrite for a number of parts; 1, and batches that do not divide evenly: all stays whole. */
export const splitBatch =
  (parts: number): Rewrite =>
  (graph: Graph) =>
    parts <= 1 ? graph : split(graph, parts);
