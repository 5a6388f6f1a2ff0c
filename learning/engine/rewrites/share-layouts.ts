/**
 * Takes a change of layout back up through an operator that works element by element, where its operand is changed the same
 * way anyhow: Tᵖ(x²) beside Tᵖ(x) becomes (Tᵖ x)², one pass less. Sinking transposes and reorders leaves such pairs behind.
 */
import type { Graph, Node, Value } from '../onnx/graph.ts';
import { BLOCKED } from './blocked-layout.ts';
import { FLOAT_FUNCTIONS } from './operators.ts';
import { rebuild } from './rebuild.ts';

/** Functions of one value, which a square is too. */
const isElementwise = (op: string): boolean => FLOAT_FUNCTIONS.has(op) || op === 'Mul';

const isLayout = ({ op, domain }: Node): boolean =>
  (op === 'Transpose' && domain === '') || (op === 'ReorderOutput' && domain === BLOCKED);

const keyOf = ({ op, attributes }: Node, x: Value): string => JSON.stringify([op, attributes, x]);

export function shareLayouts(graph: Graph): Graph {
  const changed = new Set(graph.nodes.filter(isLayout).map((node) => keyOf(node, node.inputs[0]!)));
  const made = new Map(graph.nodes.flatMap((node) => node.outputs.map((value) => [value, node] as const)));
  return rebuild(graph, ({ g, node, old, producer }) => {
    if (!isLayout(node)) return undefined;
    const element = made.get(old.inputs[0]!);
    if (element?.domain !== '' || !isElementwise(element.op)) return undefined;
    const [x] = element.inputs as [Value];
    if (element.inputs.some((value) => value !== x) || !changed.has(keyOf(old, x))) return undefined;
    const type = graph.types.get(old.outputs[0]!)!;
    const source = producer(node.inputs[0]!)!.inputs[0]!;
    const there = g.node(node.op, [source], type, node.attributes, node.domain);
    return [
      g.node(
        element.op,
        element.inputs.map(() => there),
        type,
        element.attributes,
      ),
    ];
  });
}
