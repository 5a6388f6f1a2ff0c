/** Short names for the nodes that kernels add: each function adds one node and returns a traced tensor with its static shape. */
import type { backend_util } from '@tensorflow/tfjs';
import {
  type Attributes,
  type Constant,
  type Domain,
  type ElementType,
  type GraphBuilder,
  sameShape,
  type Value,
} from '../onnx/graph.ts';

/** A tensor of the program being traced: a value of the graph, with tfjs's shape and type. */
export interface Traced {
  readonly value: Value;
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32' | 'bool';
}

/** One kernel call. */
export interface Call {
  readonly g: GraphBuilder;
  readonly util: typeof backend_util;
  /** tfjs's name of the op that is running, such as `conv2d`. */
  readonly op: string;
  readonly inputs: Readonly<Record<string, Traced | readonly Traced[] | undefined>>;
  readonly attrs: unknown;
  /** Ends the trace with `engine/unsupported`. */
  unsupported(what: string): never;
}

export type Kernel = (call: Call) => Traced | Traced[];
export type Kernels = Readonly<Record<string, Kernel>>;

export type Shape = readonly number[];

/** The one input of this name. */
export function input(call: Call, name: string): Traced {
  const found = call.inputs[name];
  if (found === undefined || Array.isArray(found)) return call.unsupported(`without input ${name}`);
  return found as Traced;
}

export const optionalInput = (call: Call, name: string): Traced | undefined =>
  call.inputs[name] === undefined ? undefined : input(call, name);

/** An axis counted from the front; tfjs counts from the back too. */
export const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** All inputs of a kernel that takes a list (`0`, `1`, …), such as Concat. */
export const inputList = (call: Call): Traced[] =>
  Object.keys(call.inputs)
    .sort((a, b) => Number(a) - Number(b))
    .map((name) => input(call, name));

/** How the output of a node differs from its first input, and what else the node has. */
export interface Emit {
  op?: string;
  shape?: Shape;
  dtype?: Traced['dtype'];
  attributes?: Attributes;
  domain?: Domain;
  /** Further inputs that are not tfjs tensors: axes, pads, shapes. */
  extra?: readonly Value[];
}

/** Adds a node whose output has the first input's shape and type unless said otherwise. */
export function emit(g: GraphBuilder, op: string, inputs: readonly Traced[], given: Emit = {}): Traced {
  const shape = given.shape ?? inputs[0]!.shape;
  const dtype = given.dtype ?? inputs[0]!.dtype;
  const values = [...inputs.map((t) => t.value), ...(given.extra ?? [])];
  const value = g.node(op, values, { dtype, shape }, given.attributes ?? {}, given.domain ?? '');
  return { value, shape, dtype };
}

/** The shape of two operands broadcast against each other. */
export function broadcastShapes(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const da = a[a.length - rank + i] ?? 1;
    const db = b[b.length - rank + i] ?? 1;
    return da === 1 ? db : da;
  });
}

/** An operator of two operands that are broadcast; `dtype` of the result, if it is not the first one's. */
export const binary = (g: GraphBuilder, op: string, a: Traced, b: Traced, dtype?: Traced['dtype']): Traced =>
  emit(g, op, [a, b], { shape: broadcastShapes(a.shape, b.shape), ...(dtype ? { dtype } : {}) });

export const unary = (g: GraphBuilder, op: string, x: Traced, attributes: Attributes = {}): Traced =>
  emit(g, op, [x], { attributes });

const TYPED = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;

/** A scalar constant of the tensor's own type. */
export function scalarLike(g: GraphBuilder, like: Pick<Traced, 'dtype'>, value: number): Traced {
  const constant: Constant = { dtype: like.dtype, shape: [], data: TYPED[like.dtype].of(value) };
  return { value: g.constant(constant), shape: [], dtype: like.dtype };
}

export function constantTensor(g: GraphBuilder, shape: Shape, data: Float32Array | Int32Array | Uint8Array): Traced {
  const dtype = data instanceof Float32Array ? 'float32' : data instanceof Int32Array ? 'int32' : 'bool';
  return { value: g.constant({ dtype, shape, data }), shape, dtype };
}

/** A tensor whose elements are all equal. */
export const filled = (g: GraphBuilder, shape: Shape, value: number, dtype: Traced['dtype']): Traced =>
  constantTensor(g, shape, TYPED[dtype].of(value));

const ELEMENT_CODE = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;

export const cast = (g: GraphBuilder, x: Traced, dtype: Traced['dtype']): Traced =>
  x.dtype === dtype ? x : emit(g, 'Cast', [x], { dtype, attributes: { to: ELEMENT_CODE[dtype] } });

/** A value in an element type that tfjs does not have, as indices need. */
export const castValue = (g: GraphBuilder, value: Value, shape: Shape, dtype: ElementType): Value =>
  g.typeOf(value).dtype === dtype ? value : g.node('Cast', [value], { dtype, shape }, { to: ELEMENT_CODE[dtype] });

export const reshape = (g: GraphBuilder, x: Traced, shape: Shape): Traced =>
  sameShape(x.shape, shape) ? x : emit(g, 'Reshape', [x], { shape, extra: [g.ints(shape)] });

export const transpose = (g: GraphBuilder, x: Traced, perm: readonly number[]): Traced =>
  perm.every((p, i) => p === i)
    ? x
    : emit(g, 'Transpose', [x], { shape: perm.map((p) => x.shape[p]!), attributes: { perm } });

/** Repeats along dimensions of size 1 up to this shape. */
export const expandTo = (g: GraphBuilder, x: Traced, shape: Shape): Traced =>
  sameShape(x.shape, shape) ? x : emit(g, 'Expand', [x], { shape, extra: [g.ints(shape)] });

/** Elements [start, start + size) of one step along all axes. */
export function sliceBox(g: GraphBuilder, x: Traced, begin: Shape, size: Shape): Traced {
  const axes = x.shape.map((_, i) => i).filter((i) => begin[i] !== 0 || size[i] !== x.shape[i]);
  if (axes.length === 0) return x;
  const starts = g.ints(axes.map((i) => begin[i]!));
  const ends = g.ints(axes.map((i) => begin[i]! + size[i]!));
  return emit(g, 'Slice', [x], { shape: size, extra: [starts, ends, g.ints(axes)] });
}

/** A reduction over axes (ONNX ≥ 18: axes are an input). */
export function reduce(g: GraphBuilder, op: string, x: Traced, axes: readonly number[], keepDims: boolean): Traced {
  const shape = x.shape.flatMap((d, i) => (axes.includes(i) ? (keepDims ? [1] : []) : [d]));
  if (axes.length === 0) return x;
  return emit(g, op, [x], { shape, extra: [g.ints(axes)], attributes: { keepdims: keepDims ? 1 : 0 } });
}
