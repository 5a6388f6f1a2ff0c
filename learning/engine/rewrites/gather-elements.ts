/**
 * Single numbers gathered by GatherElements: ONNX Runtime's Gather copies each as a block of memory of its own, which takes seven
 * times as long. Pixels of grey images are gathered like this.
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import type { Graph, Value } from '../onnx/graph.ts';
import { rebuild } from './rebuild.ts';

export function gatherElements(graph: Graph): Graph {
  return rebuild(graph, ({ g, node }) => {
    if (node.op !== 'Gather' || node.attributes.axis !== 0) return undefined;
    const type = graph.types.get(node.outputs[0]!)!;
    const [x, indices] = node.inputs as [Value, Value];
    const { dtype, shape } = g.typeOf(x);
    if (shape.length === 0 || sizeOf(shape) !== shape[0]) return undefined;
    const places = g.typeOf(indices);
    const count = [sizeOf(places.shape)];
    const numbers = g.node('Reshape', [x, g.ints([shape[0]!])], { dtype, shape: [shape[0]!] });
    const flat = g.node('Reshape', [indices, g.ints(count)], { dtype: places.dtype, shape: count });
    const gathered = g.node('GatherElements', [numbers, flat], { dtype, shape: count }, { axis: 0 });
    return [g.node('Reshape', [gathered, g.ints(type.shape)], type)];
  });
}
