/**
 * Computes regions of convolutions in parts of the batch: each part is a chain of nodes of its own, which several threads take
 * side by side, where single operators of ONNX Runtime (transpose, padding, normalisation) use one thread only.
 * Gradients of filters, scales and offsets are summed over the parts; what leaves a region is joined again.
 */
import { type Graph, graphBuilder, type Node, type Value, type ValueType } from '../onnx/graph.ts';

type Place = 'split' | 'whole';
/** Outputs: split along the batch, or one for the whole batch, to be summed over the parts. */
type Result = 'split' | 'sum';

interface Plan {
  readonly inputs: readonly Place[];
  readonly outputs: readonly Result[];
}

const UNARY = new Set(
  'Relu Neg Exp Log Sqrt Reciprocal Abs Sign Erf Tanh Sigmoid HardSigmoid Clip Cast Not'.split(' '),
);
const BROADCASTING = new Set('Add Sub Mul Div Max Min Where Greater Less Equal And Or'.split(' '));
const REDUCTIONS = new Set('ReduceSum ReduceMean ReduceMax ReduceMin'.split(' '));
const POOLS = new Set(['MaxPool', 'AveragePool']);

/** Operators that begin a region: enough work to be worth splitting. */
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

/** The rewrite for a number of parts; batches that do not divide evenly stay whole. */
export function splitBatch(parts: number): (graph: Graph) => Graph {
  return (graph) => (parts <= 1 ? graph : split(graph, parts));
}

function split(graph: Graph, parts: number): Graph {
  const g = graphBuilder(graph.name);
  const whole = new Map<Value, Value>();
  const pieces = new Map<Value, readonly Value[]>();
  const typeOf = (value: Value): ValueType => graph.types.get(value)!;
  for (const { name, value } of graph.inputs) whole.set(value, g.input(name, typeOf(value)));

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
    const type = part(typeOf(value), parts);
    const made = g.nodes('Split', [wholeOf(value)], Array<ValueType>(parts).fill(type), {
      axis: 0,
      num_outputs: parts,
    });
    pieces.set(value, made);
    return made;
  };
  const planOf = (node: Node): Plan | undefined => {
    const starter = STARTERS[node.op];
    const inSplit = node.inputs.find((value) => pieces.has(value) && typeOf(value).shape.length > 2);
    const leading = starter ? node.inputs[0]! : inSplit;
    const batch = leading === undefined ? undefined : typeOf(leading).shape[0]!;
    if (batch === undefined || batch % parts !== 0) return undefined;
    return starter ?? follow(graph, node, batch);
  };
  /** A reshape's target, for one part. */
  const operands = (node: Node, inputs: readonly Value[]): readonly Value[] =>
    node.op === 'Reshape' ? [inputs[0]!, g.ints(part(typeOf(node.outputs[0]!), parts).shape)] : inputs;

  for (const node of graph.nodes) {
    g.origin = node.origin;
    const plan = planOf(node);
    if (!plan) {
      const outputs = g.nodes(
        node.op,
        node.inputs.map(wholeOf),
        node.outputs.map(typeOf),
        node.attributes,
        node.domain,
      );
      node.outputs.forEach((value, i) => {
        whole.set(value, outputs[i]!);
      });
      continue;
    }
    const given = node.inputs.map((value, i) =>
      plan.inputs[i] === 'split' ? piecesOf(value) : Array<Value>(parts).fill(wholeOf(value)),
    );
    const types = node.outputs.map((value, i) =>
      plan.outputs[i] === 'split' ? part(typeOf(value), parts) : typeOf(value),
    );
    const results = Array.from({ length: parts }, (_, p) => {
      const inputs = operands(
        node,
        given.map((list) => list[p]!),
      );
      return g.nodes(node.op, inputs, types, node.attributes, node.domain);
    });
    node.outputs.forEach((value, i) => {
      const list = results.map((outputs) => outputs[i]!);
      if (plan.outputs[i] === 'split') pieces.set(value, list);
      else whole.set(value, g.node('Sum', list, typeOf(value)));
    });
  }
  return g.finish(graph.outputs.map(({ name, value }) => ({ name, value: wholeOf(value) })));
}
