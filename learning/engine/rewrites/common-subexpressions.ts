/** Computes equal things once: nodes of the same operator, inputs and attributes become one. No operator of a graph draws numbers. */
import type { Graph, Value } from '../onnx/graph.ts';
import { rebuild } from './rebuild.ts';

/** JSON would write infinities and NaN alike. */
const written = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;

export function shareCommonSubexpressions(graph: Graph): Graph {
  const seen = new Map<string, readonly Value[]>();
  return rebuild(graph, ({ g, node }) => {
    const key = JSON.stringify([node.domain, node.op, node.inputs, node.attributes, node.outputs.length], written);
    const found = seen.get(key);
    if (found) return found;
    const types = node.outputs.map((value) => graph.types.get(value)!);
    const outputs = g.nodes(node.op, node.inputs, types, node.attributes, node.domain);
    seen.set(key, outputs);
    return outputs;
  });
}
