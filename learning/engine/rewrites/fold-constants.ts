/**
 * Arithmetic with constants: multiplication by one and addition of zero vanish, a tensor of equal numbers becomes a scalar that
 * broadcasts, and what is reshaped, transposed or computed of constants is one. tfjs's tape produces all of these (`ones(shape)`, …).
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import {
  ABSENT,
  type Constant,
  expand,
  type Graph,
  isUniform,
  sameShape,
  type Value,
  type ValueType,
} from '../onnx/graph.ts';
import { BROADCASTING } from './operators.ts';
import { rebuild, type Site } from './rebuild.ts';

/** The value in this shape, repeated where needed. */
function inShape({ g }: Site, value: Value, type: ValueType): Value {
  const { shape } = g.typeOf(value);
  if (sameShape(shape, type.shape)) return value;
  return g.node('Expand', [value, g.ints(type.shape)], type);
}

/** x·1, x+0, x−0, x/1, x^1 → x */
function neutral(site: Site, type: ValueType): Value | undefined {
  const { node, constant } = site;
  const [a, b] = node.inputs as [Value, Value];
  const right = constant(b);
  const left = constant(a);
  const byOne = node.op === 'Mul' || node.op === 'Div' || node.op === 'Pow';
  const byZero = node.op === 'Add' || node.op === 'Sub';
  if ((byOne && isUniform(right, 1)) || (byZero && isUniform(right, 0))) return inShape(site, a, type);
  if ((node.op === 'Mul' && isUniform(left, 1)) || (node.op === 'Add' && isUniform(left, 0)))
    return inShape(site, b, type);
  return undefined;
}

/** A uniform operand as a scalar, if the other operands still give the shape. */
function scalarOperands({ g, node, constant }: Site, type: ValueType): Value[] | undefined {
  let changed = false;
  const inputs = node.inputs.map((value, index) => {
    const c = constant(value);
    if (!c || c.shape.length === 0 || !isUniform(c)) return value;
    const rest = node.inputs.filter((_, i) => i !== index);
    if (!rest.some((other) => sameShape(g.typeOf(other).shape, type.shape))) return value;
    changed = true;
    return g.constant({ ...c, shape: [] });
  });
  return changed ? inputs : undefined;
}

/** Operands that were expanded only to be broadcast again. */
function unexpandedOperands({ g, node, producer }: Site, type: ValueType): Value[] | undefined {
  let changed = false;
  const inputs = [...node.inputs];
  for (const [index, value] of node.inputs.entries()) {
    const source = producer(value);
    if (source?.op !== 'Expand') continue;
    const rest = inputs.filter((_, i) => i !== index);
    if (!rest.some((other) => sameShape(g.typeOf(other).shape, type.shape))) continue;
    inputs[index] = source.inputs[0]!;
    changed = true;
  }
  return changed ? inputs : undefined;
}

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
};
const FUNCTIONS: Readonly<Record<string, (x: number) => number>> = {
  Neg: (x) => -x,
  Sqrt: Math.sqrt,
  Reciprocal: (x) => 1 / x,
};

/** Uniform float constants computed with, and constants reshaped, expanded and transposed. */
function computed({ g, node, constant }: Site, type: ValueType): Value | undefined {
  const first = constant(node.inputs[0]!);
  if (!first) return undefined;
  const sameData = node.op === 'Reshape' || (isUniform(first) && (node.op === 'Expand' || node.op === 'Transpose'));
  if (sameData) return g.constant({ ...first, shape: type.shape });
  if (node.op === 'Transpose') return g.constant(transposed(first, node.attributes.perm as readonly number[]));
  if (type.dtype !== 'float32' || !isUniform(first)) return undefined;
  const x = Number(first.data[0]);
  const one = FUNCTIONS[node.op];
  if (one) return g.constant({ ...type, data: Float32Array.of(one(x)) });
  const second = constant(node.inputs[1] ?? ABSENT);
  const two = ARITHMETIC[node.op];
  if (!two || !second || !isUniform(second) || first.dtype !== 'float32') return undefined;
  return g.constant({ ...type, data: Float32Array.of(two(x, Number(second.data[0]))) });
}

/** A constant with its axes permuted. */
function transposed(constant: Constant, perm: readonly number[]): Constant {
  const from = expand(constant);
  const shape = perm.map((p) => constant.shape[p]!);
  const strides = constant.shape.map((_, i) => sizeOf(constant.shape.slice(i + 1)));
  const steps = perm.map((p) => strides[p]!);
  const data = from.slice();
  const at = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = from[at.reduce((sum, k, axis) => sum + k * steps[axis]!, 0)]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at[axis]!++;
      if (at[axis]! < shape[axis]!) break;
      at[axis] = 0;
    }
  }
  return { dtype: constant.dtype, shape, data };
}

const STEP = { alpha: { float: 1e38 }, beta: { float: 0 } } as const;

/**
 * Cast(y > 0) of a relu's output y, in one vectorised pass: min(1, y·10³⁸), the same for every y that is not denormal.
 * ONNX Runtime's Sign takes three times as long.
 */
function stepOfRelu({ g, node, producer, constant }: Site, type: ValueType): Value | undefined {
  if (node.op !== 'Cast' || type.dtype !== 'float32') return undefined;
  const compared = producer(node.inputs[0]!);
  if (compared?.op !== 'Greater' || !isUniform(constant(compared.inputs[1]!), 0)) return undefined;
  const [y] = compared.inputs as [Value];
  return producer(y)?.op === 'Relu' ? g.node('HardSigmoid', [y], type, STEP) : undefined;
}

export function foldConstants(graph: Graph): Graph {
  return rebuild(graph, (site) => {
    const { g, node } = site;
    const type = graph.types.get(node.outputs[0]!)!;
    if (node.outputs.length > 1 || node.domain !== '') return undefined;
    const known =
      stepOfRelu(site, type) ?? computed(site, type) ?? (BROADCASTING.has(node.op) ? neutral(site, type) : undefined);
    if (known !== undefined) return [known];
    if (!BROADCASTING.has(node.op)) return undefined;
    const inputs = unexpandedOperands(site, type) ?? scalarOperands(site, type);
    return inputs && [g.node(node.op, inputs, type, node.attributes)];
  });
}
