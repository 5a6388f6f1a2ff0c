/**
 * A graph for any batch from two graphs of one program, traced at two batch sizes. What the two have in common stays; a shape
 * that differs is affine in the batch (a reshape to [batch · 4, 7]), so its slope and its start follow from the two, and it is
 * computed in the graph. What depends on the batch in any other way, such as a number computed from its size, is refused.
 */
import { TacitError } from '../../../protocol/errors.ts';
import {
  ABSENT,
  type Constant,
  expand,
  type Graph,
  graphBuilder,
  isUniform,
  type Node,
  sameShape,
  type Value,
} from './graph.ts';

/** A graph and the size that stood for its batch. */
export interface SizedGraph {
  readonly graph: Graph;
  readonly batch: number;
}

export interface SymbolicGraph {
  readonly graph: Graph;
  /** Names of the axes that grow with the batch, for the writer: value → axis → name. */
  readonly symbolic: ReadonlyMap<Value, Readonly<Record<number, string>>>;
}

const INT64 = 'int64' as const;

function refuse(name: string, origin: string, what: string): never {
  throw new TacitError('engine/unsupported', `${name} cannot be written for any batch: ${origin}: ${what}`, {
    where: origin,
    hint: 'An encoder must treat each example by itself.',
  });
}

function sameConstant(a: Constant, b: Constant): boolean {
  if (a.dtype !== b.dtype || !sameShape(a.shape, b.shape) || a.data.length !== b.data.length) return false;
  for (let i = 0; i < a.data.length; i++) if (!Object.is(a.data[i], b.data[i])) return false;
  return true;
}

interface Affine {
  readonly start: readonly number[];
  readonly slope: readonly number[];
}

/** start + slope · batch through two points, if that is whole numbers. */
function affineThrough(
  a: readonly number[],
  b: readonly number[],
  sizes: readonly [number, number],
): Affine | undefined {
  const slope = a.map((x, i) => (b[i]! - x) / (sizes[1] - sizes[0]));
  return slope.every(Number.isInteger) ? { slope, start: a.map((x, i) => x - slope[i]! * sizes[0]) } : undefined;
}

/** `batch`, `2*batch`: the name of an axis whose size is affine in the batch. */
const nameOf = ({ start, slope }: Affine, axis: number): string =>
  `${slope[axis] === 1 ? '' : `${slope[axis]}*`}batch${start[axis] === 0 ? '' : `+${start[axis]}`}`;

/** Adds values that depend on the batch to a graph. */
function batchAlgebra(g: ReturnType<typeof graphBuilder>, source: { value: Value; axis: number } | undefined) {
  let batch: Value | undefined;
  const size = (): Value => {
    if (!source) throw new RangeError('no input has a batch axis');
    const attributes = { start: source.axis, end: source.axis + 1 };
    batch ??= g.node('Shape', [source.value], { dtype: INT64, shape: [1] }, attributes);
    return batch;
  };
  return {
    /** start + slope · batch as an int64 vector. */
    vector({ start, slope }: Affine): Value {
      if (slope.every((s) => s === 0)) return g.ints(start);
      const type = { dtype: INT64, shape: [start.length] };
      const product = slope.every((s) => s === 1) && slope.length === 1 ? size() : undefined;
      const scaled = product ?? g.node('Mul', [g.ints(slope), size()], type);
      return start.every((s) => s === 0) ? scaled : g.node('Add', [scaled, g.ints(start)], type);
    },
  };
}

/**
 * The graph that both are cases of.
 * @throws TacitError engine/unsupported naming the op that depends on the batch in a way that a shape cannot
 */
export function symbolicBatch(first: SizedGraph, second: SizedGraph): SymbolicGraph {
  const { graph: a } = first;
  const { graph: b } = second;
  const sizes = [first.batch, second.batch] as const;
  const g = graphBuilder(a.name);
  const moved = new Map<Value, Value>([[ABSENT, ABSENT]]);
  const twins = new Map<Value, Value>([[ABSENT, ABSENT]]);
  const symbolic = new Map<Value, Record<number, string>>();

  const mark = (value: Value, [va, vb]: readonly [Value, Value], origin: string): void => {
    const [sa, sb] = [a.types.get(va)!.shape, b.types.get(vb)!.shape];
    if (sameShape(sa, sb)) return;
    const along = sa.length === sb.length ? affineThrough(sa, sb, sizes) : undefined;
    if (!along) refuse(a.name, origin, `shapes [${sa}] and [${sb}] for batches of ${sizes.join(' and ')}`);
    const axes = sa.flatMap((_, axis) => (along.slope[axis] === 0 ? [] : [[axis, nameOf(along, axis)] as const]));
    symbolic.set(value, Object.fromEntries(axes));
  };
  const pairInputs = (): { value: Value; axis: number } | undefined => {
    let source: { value: Value; axis: number } | undefined;
    for (const [i, { name, value }] of a.inputs.entries()) {
      const twin = b.inputs[i]!.value;
      const fresh = g.input(name, a.types.get(value)!);
      moved.set(value, fresh);
      twins.set(value, twin);
      mark(fresh, [value, twin], name);
      const axis = Object.entries(symbolic.get(fresh) ?? {}).find(([, label]) => label === 'batch')?.[0];
      if (axis !== undefined) source ??= { value: fresh, axis: Number(axis) };
    }
    return source;
  };
  const algebra = batchAlgebra(g, pairInputs());

  /** A constant that may differ between the two. */
  const constant = (ca: Constant, cb: Constant, node: Node): Value => {
    if (sameConstant(ca, cb)) return g.constant(ca);
    const uniform = isUniform(ca) && isUniform(cb) && ca.data[0] === cb.data[0];
    if (uniform && ca.shape.length === cb.shape.length) {
      const shape = affineThrough(ca.shape, cb.shape, sizes);
      const scalar = g.constant({ ...ca, shape: [] });
      if (shape) return g.node('Expand', [scalar, algebra.vector(shape)], { dtype: ca.dtype, shape: ca.shape });
    }
    const [va, vb] = [ca, cb].map((c) => Array.from(expand(c), Number)) as [number[], number[]];
    const values = ca.dtype === INT64 && va.length === vb.length ? affineThrough(va, vb, sizes) : undefined;
    if (!values) return refuse(a.name, node.origin || node.op, 'a constant depends on the batch');
    const differing = values.slope.flatMap((s, i) => (s === 0 ? [] : [i]));
    const inferred = node.op === 'Reshape' && differing.length === 1;
    return inferred ? g.ints(values.start.map((s, i) => (i === differing[0] ? -1 : s))) : algebra.vector(values);
  };
  const operand = (va: Value, vb: Value, node: Node): Value => {
    const [ca, cb] = [a.constants.get(va), b.constants.get(vb)];
    if (ca && cb) return constant(ca, cb, node);
    if (ca || cb || twins.get(va) !== vb) return refuse(a.name, node.origin || node.op, 'another graph for each batch');
    return moved.get(va)!;
  };

  if (a.nodes.length !== b.nodes.length) refuse(a.name, a.name, 'more operations for one batch than for another');
  for (const [i, node] of a.nodes.entries()) {
    const twin = b.nodes[i]!;
    const same = node.op === twin.op && JSON.stringify(node.attributes) === JSON.stringify(twin.attributes);
    if (!same || node.inputs.length !== twin.inputs.length)
      refuse(a.name, node.origin || node.op, 'another operation for each batch');
    g.origin = node.origin;
    const inputs = node.inputs.map((value, k) => operand(value, twin.inputs[k]!, node));
    const types = node.outputs.map((value) => a.types.get(value)!);
    g.nodes(node.op, inputs, types, node.attributes, node.domain).forEach((fresh, k) => {
      moved.set(node.outputs[k]!, fresh);
      twins.set(node.outputs[k]!, twin.outputs[k]!);
    });
  }
  const end: Node = { op: 'output', domain: '', inputs: [], outputs: [], attributes: {}, origin: 'output' };
  const outputs = a.outputs.map(({ name, value }, i) => {
    const twin = b.outputs[i]!.value;
    const fresh = operand(value, twin, end);
    mark(fresh, [value, twin], name);
    return { name, value: fresh };
  });
  return { graph: g.finish(outputs), symbolic };
}
