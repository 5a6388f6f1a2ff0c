/**
 * The sum of two tensors, each padded with zeros where the other is, is their concatenation: gradients of slices, such as those
 * of the two views of a batch, meet like this.
 */
import { type Constant, type Graph, isUniform, type Node, type Value } from '../onnx/graph.ts';
import { rebuild, type Site } from './rebuild.ts';

const numbers = (constant: Constant): number[] => Array.from(constant.data as BigInt64Array, Number);

/** Zeros before and after along the one axis that is padded. */
interface Padding {
  readonly x: Value;
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

function paddingOf({ constant }: Site, node: Node | undefined): Padding | undefined {
  if (node?.op !== 'Pad' || (node.attributes.mode ?? 'constant') !== 'constant') return undefined;
  const [x, pads, value] = node.inputs as [Value, Value, Value?];
  const given = constant(pads);
  if (!given || (value !== undefined && !isUniform(constant(value), 0))) return undefined;
  const all = given.data.length === 1 ? Array<number>(given.shape[0]!).fill(Number(given.data[0])) : numbers(given);
  const rank = all.length / 2;
  const axes = Array.from({ length: rank }, (_, i) => i).filter((i) => all[i] !== 0 || all[i + rank] !== 0);
  const [axis] = axes;
  return axis === undefined || axes.length > 1 ? undefined : { x, axis, before: all[axis]!, after: all[axis + rank]! };
}

/** The concatenation that two padded tensors add up to, if neither covers or misses an element. */
function joined(site: Site, a: Value, b: Value): Value | undefined {
  const { g, producer } = site;
  const parts = [paddingOf(site, producer(a)), paddingOf(site, producer(b))];
  const first = parts.find((part) => part?.before === 0);
  const second = parts.find((part) => part?.after === 0);
  if (!first || !second || first === second || first.axis !== second.axis) return undefined;
  const { axis } = first;
  if (first.after !== g.typeOf(second.x).shape[axis] || second.before !== g.typeOf(first.x).shape[axis])
    return undefined;
  return g.node('Concat', [first.x, second.x], g.typeOf(a), { axis });
}

export function joinPads(graph: Graph): Graph {
  return rebuild(graph, (site) => {
    const { g, node, producer } = site;
    if (node.op !== 'Add') return undefined;
    const [a, b] = node.inputs as [Value, Value];
    const whole = joined(site, a, b);
    if (whole !== undefined) return [whole];
    // (z + pad) + pad, as a tape adds them up
    const sum = producer(a);
    if (sum?.op !== 'Add') return undefined;
    const [z, pad] = sum.inputs as [Value, Value];
    const rest = joined(site, pad, b);
    return rest === undefined ? undefined : [g.node('Add', [z, rest], g.typeOf(a))];
  });
}
