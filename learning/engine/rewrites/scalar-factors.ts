/**
 * Constant factors meet and go to the smaller operand: x + x = 2·x, c·(d·x) = (c·d)·x, and v·(c·x) = (c·v)·x where v is smaller
 * than x, as the factors of rows are. Each saves a pass over x, if nothing else reads c·x.
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import type { Graph, Node, Value } from '../onnx/graph.ts';
import { rebuild, type Site } from './rebuild.ts';

interface Scaled {
  readonly x: Value;
  readonly factor: number;
}

/** What a value is a constant times of. */
function scaledOf({ g, constant }: Site, node: Node | undefined): Scaled | undefined {
  if (node?.domain !== '' || (node.op !== 'Mul' && node.op !== 'Div')) return undefined;
  const [a, b] = node.inputs as [Value, Value];
  const of = (x: Value, scalar: Value): Scaled | undefined => {
    const c = constant(scalar);
    if (c?.dtype !== 'float32' || c.shape.length > 0 || constant(x)) return undefined;
    const value = Number(c.data[0]);
    return { x, factor: node.op === 'Div' ? 1 / value : value };
  };
  return g.typeOf(a).dtype === 'float32' ? (of(a, b) ?? (node.op === 'Mul' ? of(b, a) : undefined)) : undefined;
}

export function moveScalarFactors(graph: Graph): Graph {
  return rebuild(graph, (site) => {
    const { g, node, producer } = site;
    const type = graph.types.get(node.outputs[0]!)!;
    const size = (value: Value): number => sizeOf(g.typeOf(value).shape);
    const doubled = node.op === 'Add' && node.inputs[0] === node.inputs[1] && type.dtype === 'float32';
    if (doubled) return [g.node('Mul', [node.inputs[0]!, g.float(2)], type)];
    const outer = scaledOf(site, node);
    if (outer) {
      const inner = scaledOf(site, producer(outer.x));
      return inner && [g.node('Mul', [inner.x, g.float(inner.factor * outer.factor)], type)];
    }
    if (node.op !== 'Mul' || node.domain !== '') return undefined;
    for (const [i, large] of node.inputs.entries()) {
      const small = node.inputs[1 - i]!;
      const scaled = size(small) < size(large) ? scaledOf(site, producer(large)) : undefined;
      if (scaled)
        return [g.node('Mul', [scaled.x, g.node('Mul', [small, g.float(scaled.factor)], g.typeOf(small))], type)];
    }
    return undefined;
  });
}
