/** The transpose of a symmetric matrix is the matrix: products xᵀ·x, and what is computed from them element by element. */
import type { Graph, Value } from '../onnx/graph.ts';
import { rebuild, type Site } from './rebuild.ts';

const UNARY = new Set('Neg Exp Log Sqrt Reciprocal Abs Relu'.split(' '));
const BINARY = new Set('Add Sub Mul Div'.split(' '));

const isSwap = (perm: unknown): boolean => Array.isArray(perm) && perm.join() === '1,0';

function isSymmetric(site: Site, value: Value): boolean {
  const { g, producer } = site;
  if (g.typeOf(value).shape.length === 0) return true;
  const node = producer(value);
  if (node?.domain !== '') return false;
  const [a, b] = node.inputs as [Value, Value];
  if (node.op === 'MatMul') {
    const swapped = producer(a);
    return swapped?.op === 'Transpose' && isSwap(swapped.attributes.perm) && swapped.inputs[0] === b;
  }
  if (!UNARY.has(node.op) && !BINARY.has(node.op)) return false;
  return node.inputs.every((input) => isSymmetric(site, input));
}

export function dropSymmetricTransposes(graph: Graph): Graph {
  return rebuild(graph, (site) => {
    const { node } = site;
    if (node.op !== 'Transpose' || !isSwap(node.attributes.perm)) return undefined;
    return isSymmetric(site, node.inputs[0]!) ? [node.inputs[0]!] : undefined;
  });
}
