/**
 * Moves reorders out of the blocked layout downwards, through operators that work element by element, until they meet a
 * reorder into it and both vanish. A region of convolutions so stays blocked from end to end.
 */
import { ABSENT, type Graph, sameShape, type Value, type ValueType } from '../onnx/graph.ts';
import { BLOCKED, blockedLayout, type Size4 } from './blocked-layout.ts';
import { FLOAT_FUNCTIONS } from './operators.ts';
import { type Rewrite, rebuild, type Site } from './rebuild.ts';

/** Operators over floats of which each may have any order, if all have the same. */
const BINARY = new Set('Add Sub Mul Div Max Min Sum'.split(' '));

/** The blocked value behind a reordered one. */
function blockedOf({ producer }: Site, value: Value): Value | undefined {
  const node = producer(value);
  return node?.domain === BLOCKED && node.op === 'ReorderOutput' ? node.inputs[0]! : undefined;
}

const leave = ({ g }: Site, value: Value, block: number): Value => blockedLayout(g, block).fromBlocked(value);

function throughUnary(site: Site, type: ValueType, block: number): Value | undefined {
  const { g, node } = site;
  const x = blockedOf(site, node.inputs[0]!);
  if (x === undefined) return undefined;
  return leave(site, g.node(node.op, [x, ...node.inputs.slice(1)], type, node.attributes), block);
}

/** Operands of the same shape that are all blocked; numbers may stand beside them. */
function throughBinary(site: Site, type: ValueType, block: number): Value | undefined {
  const { g, node } = site;
  const inputs = node.inputs.map((value) => {
    const { shape } = g.typeOf(value);
    if (shape.length === 0) return value;
    return sameShape(shape, type.shape) ? blockedOf(site, value) : undefined;
  });
  const some = inputs.some((value) => value !== undefined && g.typeOf(value).shape.length > 0);
  if (!some || !inputs.every((value) => value !== undefined)) return undefined;
  return leave(site, g.node(node.op, inputs, type, node.attributes), block);
}

/** x times one number per example and channel. */
function scaled(site: Site, type: ValueType, block: number): Value | undefined {
  const { g, node } = site;
  if (node.op !== 'Mul') return undefined;
  const [n, c] = type.shape as Size4;
  const full = node.inputs.findIndex((value) => blockedOf(site, value) !== undefined);
  const other = node.inputs[1 - full];
  if (full < 0 || other === undefined || !sameShape(g.typeOf(other).shape, [n, c, 1, 1])) return undefined;
  const l = blockedLayout(g, block);
  return l.fromBlocked(l.affine(blockedOf(site, node.inputs[full]!)!, l.reshape(other, [n * c])));
}

/** A mean over positions. */
function pooled(site: Site, type: ValueType, block: number): Value | undefined {
  const { g, node, constant } = site;
  const x = blockedOf(site, node.inputs[0]!);
  const axes = constant(node.inputs[1] ?? ABSENT);
  const overPositions = axes && Array.from(axes.data, Number).join() === '2,3';
  if (x === undefined || node.op !== 'ReduceMean' || !overPositions) return undefined;
  const l = blockedLayout(g, block);
  return l.reshape(l.mean(x), type.shape);
}

/** The rewrite for a block of channels; 0: nothing is blocked. */
export const cancelReorders =
  (block: number): Rewrite =>
  (graph: Graph) =>
    rebuild(graph, (site) => {
      const { node } = site;
      if (block === 0 || node.outputs.length > 1) return undefined;
      const type = graph.types.get(node.outputs[0]!)!;
      let value: Value | undefined;
      if (node.domain === BLOCKED && node.op === 'ReorderInput') value = blockedOf(site, node.inputs[0]!);
      if (node.domain === '' && FLOAT_FUNCTIONS.has(node.op)) value = throughUnary(site, type, block);
      if (node.domain === '' && BINARY.has(node.op))
        value = throughBinary(site, type, block) ?? scaled(site, type, block);
      if (node.domain === '') value ??= pooled(site, type, block);
      return value === undefined ? undefined : [value];
    });
