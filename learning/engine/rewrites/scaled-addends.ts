/**
 * c·u + a·b with a constant c as one Gemm, which scales what it adds to: the momentum of a dense layer takes no pass of its own.
 * ONNX Runtime finds the sum by itself, but not the factor.
 */
import { type Graph, type Node, sameShape, type Value } from '../onnx/graph.ts';
import { rebuild, type Site } from './rebuild.ts';

interface Scaled {
  readonly x: Value;
  readonly factor: number;
}

/** u and c of a value c·u. */
function scaledOf({ constant, producer }: Site, value: Value): Scaled | undefined {
  const node = producer(value);
  if (node?.op !== 'Mul' || node.domain !== '') return undefined;
  const [x, scalar] = node.inputs as [Value, Value];
  const c = constant(scalar);
  return c?.shape.length === 0 ? { x, factor: Number(c.data[0]) } : undefined;
}

/** What an operand of a product [m, k] · [k, n] is before it is transposed, if it is. */
function operand({ producer }: Site, value: Value): { readonly x: Value; readonly swapped: 0 | 1 } {
  const node = producer(value);
  return node?.op === 'Transpose' ? { x: node.inputs[0]!, swapped: 1 } : { x: value, swapped: 0 };
}

const isProduct = (node: Node | undefined): node is Node => node?.op === 'MatMul' && node.domain === '';

export function scaleAddends(graph: Graph): Graph {
  return rebuild(graph, (site) => {
    const { g, node, producer } = site;
    const type = graph.types.get(node.outputs[0]!)!;
    if (node.op !== 'Add' || type.dtype !== 'float32' || type.shape.length !== 2) return undefined;
    for (const [i, value] of node.inputs.entries()) {
      const product = producer(value);
      const scaled = scaledOf(site, node.inputs[1 - i]!);
      if (!isProduct(product) || !scaled || !sameShape(g.typeOf(scaled.x).shape, type.shape)) continue;
      if (product.inputs.some((input) => g.typeOf(input).shape.length !== 2)) continue;
      const [a, b] = product.inputs.map((input) => operand(site, input));
      const attributes = {
        alpha: { float: 1 },
        beta: { float: scaled.factor },
        transA: a!.swapped,
        transB: b!.swapped,
      };
      return [g.node('Gemm', [a!.x, b!.x, scaled.x], type, attributes)];
    }
    return undefined;
  });
}
