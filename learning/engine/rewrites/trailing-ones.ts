/**
 * Elementwise operators without the last axes of size one, as grey images have: ONNX Runtime broadcasts a number over spans of
 * the last axis, and spans of one element take ten times as long as one span of them all. Of a few numbers, a reshape takes longer.
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import { type Graph, sameShape } from '../onnx/graph.ts';
import { BROADCASTING } from './operators.ts';
import { rebuild } from './rebuild.ts';

/** Elements below which the reshapes take longer than they save. */
const FEW = 1024;

/** How many axes of size one end a shape. */
const onesAtEnd = (shape: readonly number[]): number => shape.length - 1 - shape.findLastIndex((d) => d !== 1);

export function dropTrailingOnes(graph: Graph): Graph {
  return rebuild(graph, ({ g, node }) => {
    if (node.domain !== '' || !BROADCASTING.has(node.op)) return undefined;
    const type = graph.types.get(node.outputs[0]!)!;
    const shapes = node.inputs.map((value) => g.typeOf(value).shape);
    const count = onesAtEnd(type.shape);
    const alike = shapes.every((shape) => sameShape(shape, type.shape));
    if (alike || count === 0 || sizeOf(type.shape) < FEW) return undefined;
    const inputs = node.inputs.map((value, i) => {
      const { dtype } = g.typeOf(value);
      const shape = shapes[i]!.slice(0, Math.max(0, shapes[i]!.length - count));
      return shape.length === shapes[i]!.length ? value : g.node('Reshape', [value, g.ints(shape)], { dtype, shape });
    });
    const result = g.node(node.op, inputs, { ...type, shape: type.shape.slice(0, -count) }, node.attributes);
    return [g.node('Reshape', [result, g.ints(type.shape)], type)];
  });
}
