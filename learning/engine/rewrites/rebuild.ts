/** How rewrites are written: a graph is walked node by node into a new one, and a rule may put other nodes in a node's place. */
import {
  ABSENT,
  type Constant,
  type Graph,
  type GraphBuilder,
  graphBuilder,
  type Node,
  type Value,
} from '../onnx/graph.ts';

/** A graph in, a graph that computes the same out. */
export type Rewrite = (graph: Graph) => Graph;

export interface Site {
  readonly g: GraphBuilder;
  /** The node of the old graph, its inputs already values of the new one. */
  readonly node: Node;
  /** The same with values of the old graph. */
  readonly old: Node;
  /** The node of the new graph that computes a value of the new graph. */
  producer(value: Value): Node | undefined;
  /** The numbers of a value of the new graph, if they are known. */
  constant(value: Value): Constant | undefined;
}

/** @returns values of the new graph to use instead of the node's outputs, or nothing to keep the node */
export type Rule = (site: Site) => readonly Value[] | undefined;

/** Applies a rule to each node in order. */
export function rebuild(graph: Graph, rule: Rule): Graph {
  const g = graphBuilder(graph.name);
  const moved = new Map<Value, Value>([[ABSENT, ABSENT]]);
  const made = new Map<Value, Node>();
  for (const { name, value } of graph.inputs) moved.set(value, g.input(name, graph.types.get(value)!));
  const move = (value: Value): Value => {
    const known = moved.get(value);
    if (known !== undefined) return known;
    const constant = graph.constants.get(value);
    if (!constant) throw new RangeError(`value ${value} is used before it is made`);
    const fresh = g.constant(constant);
    moved.set(value, fresh);
    return fresh;
  };
  const tracked: GraphBuilder = {
    ...g,
    node: (op, inputs, type, attributes, domain) => tracked.nodes(op, inputs, [type], attributes, domain)[0]!,
    nodes(op, inputs, types, attributes = {}, domain = '') {
      g.origin = tracked.origin;
      const outputs = g.nodes(op, inputs, types, attributes, domain);
      const node: Node = { op, domain, inputs, outputs, attributes, origin: tracked.origin };
      for (const output of outputs) made.set(output, node);
      return outputs;
    },
  };
  for (const old of graph.nodes) {
    tracked.origin = old.origin;
    g.origin = old.origin;
    const node = { ...old, inputs: old.inputs.map(move) };
    const instead = rule({ g: tracked, node, old, producer: (v) => made.get(v), constant: (v) => g.constantOf(v) });
    const types = old.outputs.map((v) => graph.types.get(v)!);
    const outputs = instead ?? tracked.nodes(old.op, node.inputs, types, old.attributes, old.domain);
    old.outputs.forEach((value, i) => {
      moved.set(value, outputs[i]!);
    });
  }
  return g.finish(graph.outputs.map(({ name, value }) => ({ name, value: move(value) })));
}
