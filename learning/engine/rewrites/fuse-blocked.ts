/**
 * A sum with, or a relu of, the result of a blocked convolution that nothing else reads becomes part of that convolution:
 * it writes what it has in its registers, instead of a pass of its own.
 */
import { ABSENT, type Graph, type Node, sameShape, type Value } from '../onnx/graph.ts';
import { BLOCKED } from './blocked-layout.ts';
import { removeDeadNodes } from './dead-nodes.ts';
import { rebuild, type Site } from './rebuild.ts';

/** Whether exactly one node reads a value; where reshapes produce it, also what they reshape. */
function readOnce(graph: Graph): (value: Value) => boolean {
  const readers = new Map<Value, number>();
  const reshaped = new Map<Value, Value>();
  const read = (value: Value): void => {
    readers.set(value, (readers.get(value) ?? 0) + 1);
  };
  for (const node of graph.nodes) {
    for (const value of node.inputs) read(value);
    if (node.op === 'Reshape') reshaped.set(node.outputs[0]!, node.inputs[0]!);
  }
  for (const { value } of graph.outputs) read(value);
  const once = (value: Value): boolean => {
    const source = reshaped.get(value);
    return readers.get(value) === 1 && (source === undefined || once(source));
  };
  return once;
}

/** The blocked convolution without an activation behind a value, seen through reshapes. */
function openConvolution({ producer }: Site, value: Value): Node | undefined {
  let node = producer(value);
  while (node?.op === 'Reshape') node = producer(node.inputs[0]!);
  const open = node?.domain === BLOCKED && node.op === 'Conv' && node.attributes.activation === undefined;
  return open ? node : undefined;
}

/** The convolution again with other inputs or attributes, in the shape of what it replaces. */
function instead({ g, old }: Site, graph: Graph, conv: Node, changes: Partial<Node>): Value {
  const type = graph.types.get(old.outputs[0]!)!;
  const { shape } = g.typeOf(conv.outputs[0]!);
  const { inputs, attributes } = { ...conv, ...changes };
  const y = g.node('Conv', inputs, { ...type, shape }, attributes, BLOCKED);
  return sameShape(shape, type.shape) ? y : g.node('Reshape', [y, g.ints(type.shape)], type);
}

function fuseSums(graph: Graph): Graph {
  const once = readOnce(graph);
  return rebuild(graph, (site) => {
    const { g, node, old } = site;
    if (node.op !== 'Add') return undefined;
    const [shape, other] = node.inputs.map((value) => g.typeOf(value).shape) as [readonly number[], readonly number[]];
    if (!sameShape(shape, other)) return undefined;
    for (const [i, value] of node.inputs.entries()) {
      const conv = once(old.inputs[i]!) ? openConvolution(site, value) : undefined;
      if (!conv || conv.inputs.length > 3) continue;
      const [x, filter, bias = ABSENT] = conv.inputs as [Value, Value, Value?];
      const type = g.typeOf(conv.outputs[0]!);
      const addend = node.inputs[1 - i]!;
      const plus = sameShape(type.shape, shape) ? addend : g.node('Reshape', [addend, g.ints(type.shape)], type);
      return [instead(site, graph, conv, { inputs: [x, filter, bias, plus] })];
    }
    return undefined;
  });
}

function fuseRelus(graph: Graph): Graph {
  const once = readOnce(graph);
  return rebuild(graph, (site) => {
    const { node, old } = site;
    if (node.op !== 'Relu' || !once(old.inputs[0]!)) return undefined;
    const conv = openConvolution(site, node.inputs[0]!);
    return conv && [instead(site, graph, conv, { attributes: { ...conv.attributes, activation: 'Relu' } })];
  });
}

export const fuseBlocked = (graph: Graph): Graph => fuseRelus(removeDeadNodes(fuseSums(graph)));
