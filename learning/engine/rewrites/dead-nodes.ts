/** Removes nodes that no output depends on; tfjs computes gradients that nobody asked for. */
import type { Graph, Value } from '../onnx/graph.ts';

export function removeDeadNodes(graph: Graph): Graph {
  const live = new Set<Value>(graph.outputs.map(({ value }) => value));
  const kept = [...graph.nodes].reverse().filter((node) => {
    if (!node.outputs.some((value) => live.has(value))) return false;
    for (const value of node.inputs) live.add(value);
    return true;
  });
  return { ...graph, nodes: kept.reverse() };
}
