/**
 * From nodes to operations: what only moves elements becomes a view, what is left writes a buffer. Three kinds remain: maps and
 * reductions, which are loops over an expression and may be fused (groups.ts), and products, which have kernels of their own.
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import {
  ABSENT,
  type Attributes,
  type Constant,
  type ElementType,
  type Graph,
  type Node,
  type Value,
  type ValueType,
} from '../onnx/graph.ts';
import { isArithmetic } from './arithmetic.ts';
import { broadcast, isDense, permuted, reshaped, sliced, type View, whole } from './views.ts';

/** A node that this executor has no kernel for; the graph goes to ONNX Runtime instead. */
export class Uncovered extends Error {}

/** Maps compute each element from the elements at its place; reductions add such elements up along axes. */
export type Kind = 'map' | 'reduce' | 'product' | 'convolution' | 'filter-gradient' | 'gather';

export interface Operation {
  readonly kind: Kind;
  readonly op: string;
  readonly attributes: Attributes;
  /** What is looped over: the output's shape of a map, the input's of a reduction. */
  readonly shape: readonly number[];
  /** Of a map or reduction each is seen under `shape`. */
  readonly inputs: readonly View[];
  /** Where it writes; of a reduction under `shape`, with stride 0 along what is reduced. */
  readonly into: View;
  /** Whether other operations write the rest of that buffer. */
  readonly partial: boolean;
}

export interface Program {
  readonly operations: readonly Operation[];
  /** Types of all values that have a buffer, made-up ones included. */
  readonly types: ReadonlyMap<Value, ValueType>;
  readonly constants: ReadonlyMap<Value, Constant>;
  /** Buffers of the graph's outputs, in its order. */
  readonly outputs: readonly Value[];
}

const REDUCTIONS = new Set(['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin']);
const TO_LAST = [0, 2, 3, 1];
const TO_FIRST = [0, 3, 1, 2];

/** Walks a graph and collects what has to be computed. */
class Resolver {
  readonly operations: Operation[] = [];
  readonly types: Map<Value, ValueType>;
  private readonly views = new Map<Value, View>();
  private readonly copies = new Map<string, View>();
  private readonly graph: Graph;
  private next: number;

  constructor(graph: Graph) {
    this.graph = graph;
    this.types = new Map(graph.types);
    this.next = Math.max(0, ...graph.types.keys()) + 1;
  }

  view(value: Value): View {
    const known = this.views.get(value);
    if (known) return known;
    const made = whole(value, this.types.get(value)!.shape);
    this.views.set(value, made);
    return made;
  }

  private shapeOf(value: Value): readonly number[] {
    return this.types.get(value)!.shape;
  }

  private fresh(shape: readonly number[], dtype: ElementType): View {
    const root = this.next++;
    this.types.set(root, { shape, dtype });
    return whole(root, shape);
  }

  private ints(value: Value | undefined): number[] | undefined {
    if (value === undefined || value === ABSENT) return undefined;
    const constant = this.graph.constants.get(value);
    if (!constant) throw new Uncovered('a shape that is not known beforehand');
    const data = Array.from(constant.data as ArrayLike<number | bigint>, Number);
    return data.length === 1 ? Array<number>(sizeOf(constant.shape)).fill(data[0]!) : data;
  }

  private add(operation: Omit<Operation, 'attributes' | 'partial'> & Partial<Operation>): void {
    this.operations.push({ attributes: {}, partial: false, ...operation });
  }

  private map(op: string, inputs: readonly View[], into: View, attributes: Attributes = {}, partial = false): void {
    const { shape } = into;
    this.add({ kind: 'map', op, shape, inputs: inputs.map((v) => broadcast(v, shape)), into, attributes, partial });
  }

  /** A dense copy of what a view shows; one for all that ask. */
  private copy(view: View): View {
    const key = JSON.stringify(view);
    const known = this.copies.get(key);
    if (known) return known;
    const made = this.fresh(view.shape, this.types.get(view.root)!.dtype);
    this.map('Identity', [view], made);
    this.copies.set(key, made);
    return made;
  }

  private dense = (view: View): View => (isDense(view) ? view : this.copy(view));

  private reshape = (view: View, shape: readonly number[]): View =>
    reshaped(view, shape) ?? reshaped(this.copy(view), shape)!;

  private slice(node: Node): View {
    const [data, starts, ends, axes, steps] = node.inputs as [Value, Value, Value, Value?, Value?];
    const from = this.view(data);
    const begin = this.ints(starts)!;
    this.ints(ends);
    const along = this.ints(axes) ?? begin.map((_, i) => i);
    const by = this.ints(steps) ?? begin.map(() => 1);
    const first = from.shape.map(() => 0);
    const step = from.shape.map(() => 1);
    along.forEach((axis, i) => {
      const size = from.shape[axis]!;
      const at = begin[i]! < 0 ? begin[i]! + size : begin[i]!;
      first[axis] = Math.min(at, by[i]! < 0 ? size - 1 : size);
      step[axis] = by[i]!;
    });
    return sliced(from, first, this.shapeOf(node.outputs[0]!), step);
  }

  private concat(node: Node): void {
    const [y] = node.outputs as [Value];
    const into = this.view(y);
    const axis = ((node.attributes.axis as number) + into.shape.length) % into.shape.length;
    let at = 0;
    for (const value of node.inputs) {
      const part = this.view(value);
      const starts = into.shape.map((_, i) => (i === axis ? at : 0));
      const steps = into.shape.map(() => 1);
      this.map('Identity', [part], sliced(into, starts, part.shape, steps), {}, true);
      at += part.shape[axis]!;
    }
  }

  private pad(node: Node): void {
    const [x, pads, value] = node.inputs as [Value, Value, Value?];
    const into = this.view(node.outputs[0]!);
    const around = this.ints(pads)!;
    if ((node.attributes.mode ?? 'constant') !== 'constant' || around.some((p) => p < 0))
      throw new Uncovered('Pad other than with a constant');
    const filling = value === undefined || value === ABSENT ? this.zero() : this.view(value);
    this.map('Identity', [filling], into, {}, true);
    const from = this.view(x);
    const steps = into.shape.map(() => 1);
    this.map('Identity', [from], sliced(into, around.slice(0, into.shape.length), from.shape, steps), {}, true);
  }

  private zero(): View {
    const zero = this.fresh([], 'float32');
    this.zeros.push(zero.root);
    return zero;
  }
  readonly zeros: Value[] = [];

  private tile(node: Node): View {
    const [x, repeats] = node.inputs as [Value, Value];
    const from = this.view(x);
    const times = this.ints(repeats)!;
    const split = from.shape.flatMap((d) => [1, d]);
    const wide = from.shape.flatMap((d, i) => [times[i]!, d]);
    return this.reshape(broadcast(this.reshape(from, split), wide), this.shapeOf(node.outputs[0]!));
  }

  private reduce(node: Node): void {
    const [x, axes] = node.inputs as [Value, Value?];
    const from = this.view(x);
    if (this.types.get(x)!.dtype !== 'float32') throw new Uncovered(`${node.op} of ${this.types.get(x)!.dtype}`);
    const rank = from.shape.length;
    const given = (this.ints(axes) ?? from.shape.map((_, i) => i)).map((axis) => (axis + rank) % rank);
    const out = whole(
      node.outputs[0]!,
      from.shape.map((d, i) => (given.includes(i) ? 1 : d)),
    );
    const strides = out.strides.map((stride, i) => (given.includes(i) ? 0 : stride));
    const into = { ...out, shape: from.shape, strides };
    this.add({ kind: 'reduce', op: node.op, shape: from.shape, inputs: [from], into });
  }

  private product(node: Node): void {
    const [left, right] = node.inputs.map((v) => this.view(v)) as [View, View];
    const into = this.view(node.outputs[0]!);
    if (left.shape.length < 2 || right.shape.length < 2) throw new Uncovered('a product with a vector');
    const batch = into.shape.slice(0, -2);
    const inputs = [left, right].map((v) => broadcast(v, [...batch, ...v.shape.slice(-2)]));
    this.add({ kind: 'product', op: node.op, shape: into.shape, inputs, into });
  }

  /** Images with channels next to one another, whatever their axes are called. */
  private channelsLast(view: View): View {
    const last = permuted(view, TO_LAST);
    return isDense(last) ? last : this.copy(last);
  }

  private convolution(node: Node): void {
    const [given, filter] = node.inputs.map((v) => this.view(v)) as [View, View];
    const { group, dilations } = node.attributes as { group: number; dilations: readonly number[] };
    if (group !== 1 || dilations.some((d) => d !== 1)) throw new Uncovered(`${node.op} with groups or dilation`);
    if (node.inputs.length > 2) throw new Uncovered(`${node.op} with a bias`);
    const [y] = node.outputs as [Value];
    const [a, b, c, d] = this.shapeOf(y) as [number, number, number, number];
    const x = this.channelsLast(given);
    if (node.op === 'ConvGradFilter') {
      // [out, in, height, width], written as [height, width, in, out]
      const into = this.fresh([c, d, b, a], 'float32');
      this.views.set(y, permuted(into, [3, 2, 0, 1]));
      const inputs = [x, this.channelsLast(filter)];
      this.add({ kind: 'filter-gradient', op: node.op, shape: into.shape, inputs, into, attributes: node.attributes });
      return;
    }
    const into = this.fresh([a, c, d, b], 'float32');
    this.views.set(y, permuted(into, TO_FIRST));
    const inputs = [x, filter];
    this.add({ kind: 'convolution', op: node.op, shape: into.shape, inputs, into, attributes: node.attributes });
  }

  private gather(node: Node): void {
    const [x, indices] = node.inputs.map((v) => this.view(v)) as [View, View];
    const into = this.view(node.outputs[0]!);
    const inputs = [this.dense(x), this.dense(indices)];
    this.add({ kind: 'gather', op: node.op, shape: into.shape, inputs, into, attributes: node.attributes });
  }

  private arithmetic(node: Node): void {
    const [y] = node.outputs as [Value];
    const dtype = this.types.get(node.inputs[0]!)!.dtype;
    const optional = node.outputs.length > 1 || node.inputs.includes(ABSENT);
    if (optional || !isArithmetic(node.op, dtype, this.types.get(y)!.dtype))
      throw new Uncovered(node.domain === '' ? `${node.op} of ${dtype}` : `${node.domain}.${node.op}`);
    this.map(
      node.op,
      node.inputs.map((v) => this.view(v)),
      this.view(y),
      node.attributes,
    );
  }

  node(node: Node): void {
    const [y] = node.outputs as [Value];
    const [x] = node.inputs as [Value];
    if (node.op === 'Transpose') this.views.set(y, permuted(this.view(x), node.attributes.perm as number[]));
    else if (node.op === 'Reshape') this.views.set(y, this.reshape(this.view(x), this.shapeOf(y)));
    else if (node.op === 'Expand') this.views.set(y, broadcast(this.view(x), this.shapeOf(y)));
    else if (node.op === 'Slice') this.views.set(y, this.slice(node));
    else if (node.op === 'Tile') this.views.set(y, this.tile(node));
    else if (node.op === 'Identity') this.views.set(y, this.view(x));
    else if (node.op === 'Concat') this.concat(node);
    else if (node.op === 'Pad') this.pad(node);
    else if (node.op === 'MatMul') this.product(node);
    else if (node.op === 'Gather') this.gather(node);
    else if (node.op === 'Conv' || node.op.startsWith('ConvGrad')) this.convolution(node);
    else if (REDUCTIONS.has(node.op)) this.reduce(node);
    else this.arithmetic(node);
  }

  /** The buffer of an output: its own, so that it can be read and carried. */
  output(value: Value, taken: ReadonlySet<Value>): Value {
    const view = this.view(value);
    const type = this.types.get(view.root)!;
    const own =
      isDense(view) && view.offset === 0 && sizeOf(type.shape) === sizeOf(view.shape) && !taken.has(view.root);
    if (own) return view.root;
    const made = this.fresh(view.shape, type.dtype);
    this.map('Identity', [view], made);
    return made.root;
  }
}

/**
 * The operations of a graph, in its order.
 * @throws Uncovered when a node has no kernel here
 */
export function resolve(graph: Graph): Program {
  const resolver = new Resolver(graph);
  for (const node of graph.nodes) resolver.node(node);
  const taken = new Set<Value>([...graph.inputs.map(({ value }) => value), ...graph.constants.keys()]);
  const outputs = graph.outputs.map(({ value }) => {
    const root = resolver.output(value, taken);
    taken.add(root);
    return root;
  });
  const zero = { dtype: 'float32', shape: [], data: Float32Array.of(0) } as const;
  const constants = new Map([...graph.constants, ...resolver.zeros.map((root) => [root, zero] as const)]);
  return { operations: resolver.operations, types: resolver.types, constants, outputs };
}
