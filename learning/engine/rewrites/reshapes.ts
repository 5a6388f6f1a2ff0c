/** Reshape of a reshape is one reshape, and a reshape to the same shape is none. */
import { type Graph, sameShape } from '../onnx/graph.ts';
import { rebuild } from './rebuild.ts';

export function mergeReshapes(graph: Graph): Graph {
  return rebuild(graph, ({ g, node, producer }) => {
    if (node.op !== 'Reshape') return undefined;
    const type = graph.types.get(node.outputs[0]!)!;
    let source = node.inputs[0]!;
    for (let before = producer(source); before?.op === 'Reshape'; before = producer(source)) source = before.inputs[0]!;
    const { shape } = g.typeOf(source);
    if (sameShape(shape, type.shape)) return [source];
    return source === node.inputs[0] ? undefined : [g.node('Reshape', [source, node.inputs[1]!], type)];
  });
}
