/**
 * The graph between tracer and writer: nodes in topological order over numbered values with static shapes.
 * Operators are ONNX's (domain '') and a few of our own (domain 'tacit') that a lowering replaces before writing.
 */
import { sizeOf } from '../../../protocol/tensors.ts';

export type ElementType = 'float32' | 'int32' | 'int64' | 'bool';
/** A value of the graph: an input, a constant or an output of a node. */
export type Value = number;

export interface ValueType {
  readonly dtype: ElementType;
  readonly shape: readonly number[];
}

export type ConstantData = Float32Array | Int32Array | BigInt64Array | Uint8Array;

/** Numbers known when the graph is made. One datum under a larger shape means that all elements are equal. */
export interface Constant extends ValueType {
  readonly data: ConstantData;
}

/** A plain number is an int; floats are marked, since ONNX tells them apart. */
export type Attribute = number | string | readonly number[] | { readonly float: number };
export type Attributes = Readonly<Record<string, Attribute>>;

/** Operators of ONNX itself, of ONNX Runtime's contributed domain, of its blocked convolutions, and ours. */
export type Domain = '' | 'com.microsoft' | 'com.microsoft.nchwc' | 'tacit';

export interface Node {
  readonly op: string;
  readonly domain: Domain;
  /** −1 stands for an optional input that is left out. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
  /** The tfjs op that caused it, for messages and profiles. */
  readonly origin: string;
}

export interface Graph {
  readonly name: string;
  readonly inputs: readonly { readonly name: string; readonly value: Value }[];
  readonly outputs: readonly { readonly name: string; readonly value: Value }[];
  readonly nodes: readonly Node[];
  readonly types: ReadonlyMap<Value, ValueType>;
  readonly constants: ReadonlyMap<Value, Constant>;
  /** The tfjs op that made each constant first. */
  readonly constantOrigins: ReadonlyMap<Value, string>;
}

export const ABSENT: Value = -1;

/** Where a slice that runs backwards ends so that it takes the first element too. */
export const BEFORE_FIRST = -(2 ** 31);

/** Where nodes are added: by the tracer and by rewrites that build a new graph from an old one. */
export interface GraphBuilder {
  /** Written into the nodes that follow. */
  origin: string;
  input(name: string, type: ValueType): Value;
  constant(constant: Constant): Value;
  /** An int64 vector, as shapes, axes and pads are given. */
  ints(values: readonly number[]): Value;
  /** An int64 scalar. */
  int(value: number): Value;
  /** A float32 scalar. */
  float(value: number): Value;
  node(op: string, inputs: readonly Value[], type: ValueType, attributes?: Attributes, domain?: Domain): Value;
  nodes(
    op: string,
    inputs: readonly Value[],
    types: readonly ValueType[],
    attributes?: Attributes,
    domain?: Domain,
  ): Value[];
  typeOf(value: Value): ValueType;
  /** Undefined for what is not known when the graph is made. */
  constantOf(value: Value): Constant | undefined;
  finish(outputs: Graph['outputs']): Graph;
}

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

export const float32Type = (shape: readonly number[]): ValueType => ({ dtype: 'float32', shape });

/** Whether all elements of a constant equal this number. */
export const isUniform = (constant: Constant | undefined, value?: number): boolean =>
  constant !== undefined && constant.data.length === 1 && (value === undefined || Number(constant.data[0]) === value);

/** The same constant with one datum where all elements are equal. */
export function compact(constant: Constant): Constant {
  const { data } = constant;
  if (data.length <= 1) return constant;
  const first = data[0];
  for (let i = 1; i < data.length; i++) if (!Object.is(data[i], first)) return constant;
  return { ...constant, data: data.slice(0, 1) };
}

/** All elements of a constant. */
export function expand(constant: Constant): ConstantData {
  const size = sizeOf(constant.shape);
  if (constant.data.length === size) return constant.data;
  if (constant.data instanceof BigInt64Array) return new BigInt64Array(size).fill(constant.data[0] ?? 0n);
  const fill = constant.data[0] ?? 0;
  if (constant.data instanceof Float32Array) return new Float32Array(size).fill(fill);
  if (constant.data instanceof Int32Array) return new Int32Array(size).fill(fill);
  return new Uint8Array(size).fill(fill);
}

const bytesOf = (data: ConstantData): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Content key of a constant; equal keys of large constants are compared byte by byte. */
function keyOf({ dtype, shape, data }: Constant): string {
  const bytes = bytesOf(data);
  let hash = 2166136261;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 16777619);
  return `${dtype}[${shape.join()}]${data.length}:${hash >>> 0}`;
}

function sameBytes(a: ConstantData, b: ConstantData): boolean {
  const [left, right] = [bytesOf(a), bytesOf(b)];
  return left.length === right.length && left.every((byte, i) => byte === right[i]);
}

/** Constants by content, so that equal ones are one value. */
function interner(): (constant: Constant, make: () => Value) => Value {
  const byKey = new Map<string, { readonly constant: Constant; readonly value: Value }[]>();
  return (constant, make) => {
    const key = keyOf(constant);
    const list = byKey.get(key) ?? [];
    const found = list.find((entry) => sameBytes(entry.constant.data, constant.data));
    if (found) return found.value;
    const value = make();
    byKey.set(key, [...list, { constant, value }]);
    return value;
  };
}

/** An empty graph to add to. */
export function graphBuilder(name: string): GraphBuilder {
  const inputs: { name: string; value: Value }[] = [];
  const nodes: Node[] = [];
  const types = new Map<Value, ValueType>();
  const constants = new Map<Value, Constant>();
  const constantOrigins = new Map<Value, string>();
  const intern = interner();
  let next = 0;
  const fresh = (type: ValueType): Value => {
    types.set(next, type);
    return next++;
  };
  const typeOf = (value: Value): ValueType => {
    const type = types.get(value);
    if (!type) throw new RangeError(`value ${value} is not of this graph`);
    return type;
  };
  const constant = (given: Constant): Value => {
    const small = compact(given);
    return intern(small, () => {
      const value = fresh({ dtype: small.dtype, shape: small.shape });
      constants.set(value, small);
      constantOrigins.set(value, builder.origin);
      return value;
    });
  };
  const builder: GraphBuilder = {
    origin: '',
    input(inputName, type) {
      const value = fresh(type);
      inputs.push({ name: inputName, value });
      return value;
    },
    constant,
    ints: (values) =>
      constant({ dtype: 'int64', shape: [values.length], data: BigInt64Array.from(values, (v) => BigInt(v)) }),
    int: (value) => constant({ dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(value)) }),
    float: (value) => constant({ dtype: 'float32', shape: [], data: Float32Array.of(value) }),
    node: (op, from, type, attributes, domain) => builder.nodes(op, from, [type], attributes, domain)[0]!,
    nodes(op, from, outputTypes, attributes = {}, domain = '') {
      for (const value of from) if (value !== ABSENT) typeOf(value);
      const outputs = outputTypes.map(fresh);
      nodes.push({ op, domain, inputs: [...from], outputs, attributes, origin: builder.origin });
      return outputs;
    },
    typeOf,
    constantOf: (value) => constants.get(value),
    finish: (outputs) => ({ name, inputs, outputs, nodes, types, constants, constantOrigins }),
  };
  return builder;
}
