/** The state of going through a graph (resolve.ts): what each value is a view of, and the operations collected so far. */
import { sizeOf } from '../../../protocol/tensors.ts';
import {
  ABSENT,
  type Attributes,
  type Constant,
  type ElementType,
  type Graph,
  type Value,
  type ValueType,
} from '../onnx/graph.ts';
import { type Operation, Uncovered } from './operations.ts';
import { broadcast, isDense, reshaped, type View, whole } from './views.ts';

const ZERO: Constant = { dtype: 'float32', shape: [], data: Float32Array.of(0) };

export class Resolver {
  readonly operations: Operation[] = [];
  readonly types: Map<Value, ValueType>;
  readonly constants: Map<Value, Constant>;
  private readonly views = new Map<Value, View>();
  private readonly copies = new Map<string, View>();
  private next: number;

  constructor(graph: Graph) {
    this.types = new Map(graph.types);
    this.constants = new Map(graph.constants);
    this.next = Math.max(0, ...graph.types.keys()) + 1;
  }

  /** How a value is seen; one that nothing was said of has a buffer of its own. */
  view(value: Value): View {
    const known = this.views.get(value);
    if (known) return known;
    const made = whole(value, this.shapeOf(value));
    this.views.set(value, made);
    return made;
  }

  /** Says how a value is seen. */
  see(value: Value, view: View): void {
    this.views.set(value, view);
  }

  typeOf(value: Value): ValueType {
    return this.types.get(value)!;
  }

  shapeOf(value: Value): readonly number[] {
    return this.typeOf(value).shape;
  }

  /** A buffer that is no value of the graph. */
  fresh(shape: readonly number[], dtype: ElementType): View {
    const root = this.next++;
    this.types.set(root, { shape, dtype });
    return whole(root, shape);
  }

  /** The number 0, for operators that fill. */
  zero(): View {
    const zero = this.fresh([], 'float32');
    this.constants.set(zero.root, ZERO);
    return zero;
  }

  /** A constant list of integers; undefined where the input is left out. @throws Uncovered if it is computed */
  ints(value: Value | undefined): number[] | undefined {
    if (value === undefined || value === ABSENT) return undefined;
    const constant = this.constants.get(value);
    if (!constant) throw new Uncovered('a shape that is not known beforehand');
    const data = Array.from(constant.data as ArrayLike<number | bigint>, Number);
    return data.length === 1 ? Array<number>(sizeOf(constant.shape)).fill(data[0]!) : data;
  }

  add(operation: Omit<Operation, 'attributes' | 'partial'> & Partial<Operation>): void {
    this.operations.push({ attributes: {}, partial: false, ...operation });
  }

  map(op: string, inputs: readonly View[], into: View, attributes: Attributes = {}, partial = false): void {
    const { shape } = into;
    this.add({ kind: 'map', op, shape, inputs: inputs.map((v) => broadcast(v, shape)), into, attributes, partial });
  }

  /** Writes a part of a buffer. */
  write(part: View, into: View): void {
    this.map('Identity', [part], into, {}, true);
  }

  /** A dense copy of what a view shows; one for all that ask. */
  copy(view: View): View {
    const key = JSON.stringify(view);
    const known = this.copies.get(key);
    if (known) return known;
    const made = this.fresh(view.shape, this.typeOf(view.root).dtype);
    this.map('Identity', [view], made);
    this.copies.set(key, made);
    return made;
  }

  dense(view: View): View {
    return isDense(view) ? view : this.copy(view);
  }

  /** For kernels whose instructions count upwards only: a view that does not go backwards. */
  forwards(view: View): View {
    return view.strides.some((stride) => stride < 0) ? this.copy(view) : view;
  }

  reshape(view: View, shape: readonly number[]): View {
    return reshaped(view, shape) ?? reshaped(this.copy(view), shape)!;
  }
}
