/** Kernels that work element by element. */
import type { CastAttrs, ClipByValueAttrs, LeakyReluAttrs, StepAttrs } from '@tensorflow/tfjs';
import {
  binary,
  broadcastShapes,
  type Call,
  cast,
  emit,
  expandTo,
  filled,
  input,
  inputList,
  type Kernel,
  type Kernels,
  reshape,
  scalarLike,
  type Traced,
  unary,
} from '../emit.ts';

/** A kernel that is one ONNX operator of one input. */
const same =
  (op: string): Kernel =>
  (call) =>
    unary(call.g, op, input(call, 'x'));

const pair =
  (op: string, dtype?: Traced['dtype']): Kernel =>
  (call) =>
    binary(call.g, op, input(call, 'a'), input(call, 'b'), dtype);

/** Comparison of bools goes through int32, which every operator takes. */
const compare =
  (op: string, negated = false): Kernel =>
  (call) => {
    const { g } = call;
    const [a, b] = [input(call, 'a'), input(call, 'b')].map((t) => (t.dtype === 'bool' ? cast(g, t, 'int32') : t));
    const result = binary(g, op, a!, b!, 'bool');
    return negated ? unary(g, 'Not', result) : result;
  };

const squared = (call: Call, x: Traced): Traced => binary(call.g, 'Mul', x, x);

function step(call: Call): Traced {
  const { g } = call;
  const x = input(call, 'x');
  const { alpha } = call.attrs as StepAttrs;
  const positive = binary(g, 'Greater', x, scalarLike(g, x, 0), 'bool');
  if (alpha === 0 || alpha === undefined) return cast(g, positive, 'float32');
  const [one, slope] = [scalarLike(g, x, 1), scalarLike(g, x, alpha)];
  return emit(g, 'Where', [positive, one, slope], { shape: x.shape, dtype: x.dtype });
}

/** Floor division and modulo as Python has them; exact on integers. */
function floorDiv(call: Call): Traced {
  const { g } = call;
  const [a, b] = [input(call, 'a'), input(call, 'b')];
  if (a.dtype !== 'int32') return unary(g, 'Floor', binary(g, 'Div', a, b));
  return binary(g, 'Div', binary(g, 'Sub', a, binary(g, 'Mod', a, b)), b);
}

function mod(call: Call): Traced {
  const { g } = call;
  const [a, b] = [input(call, 'a'), input(call, 'b')];
  if (a.dtype === 'int32') return binary(g, 'Mod', a, b);
  const fmod = (x: Traced): Traced =>
    emit(g, 'Mod', [x, b], { shape: broadcastShapes(x.shape, b.shape), attributes: { fmod: 1 } });
  return fmod(binary(g, 'Add', fmod(a), b));
}

function clip(call: Call): Traced {
  const { g } = call;
  const x = input(call, 'x');
  const { clipValueMin, clipValueMax } = call.attrs as ClipByValueAttrs;
  return emit(g, 'Clip', [x, scalarLike(g, x, clipValueMin), scalarLike(g, x, clipValueMax)]);
}

function addN(call: Call): Traced {
  const terms = inputList(call);
  return terms.length === 1 ? terms[0]! : emit(call.g, 'Sum', terms);
}

/** dy · (y ≥ 0 ? 1 : y + 1), tfjs's gradient of ELU from its output. */
function eluGrad(call: Call): Traced {
  const { g } = call;
  const [dy, y] = [input(call, 'dy'), input(call, 'y')];
  const negative = binary(g, 'Min', y, scalarLike(g, y, 0));
  return binary(g, 'Mul', dy, binary(g, 'Add', negative, scalarLike(g, y, 1)));
}

function prelu(call: Call): Traced {
  return emit(call.g, 'PRelu', [input(call, 'x'), input(call, 'alpha')]);
}

function finite(call: Call): Traced {
  const { g } = call;
  const x = input(call, 'x');
  const inf = emit(g, 'IsInf', [x], { dtype: 'bool' });
  const nan = emit(g, 'IsNaN', [x], { dtype: 'bool' });
  return unary(g, 'Not', binary(g, 'Or', inf, nan));
}

function select(call: Call): Traced {
  const { g } = call;
  const [condition, t, e] = [input(call, 'condition'), input(call, 't'), input(call, 'e')];
  const rank = t.shape.length;
  // tfjs aligns a condition of lower rank with the first axes, ONNX with the last
  const ones = Array<number>(condition.shape.length === 0 ? 0 : rank - condition.shape.length).fill(1);
  const aligned = reshape(g, condition, [...condition.shape, ...ones]);
  return emit(g, 'Where', [aligned, t, e], { shape: t.shape, dtype: t.dtype });
}

/** Four-quadrant arctangent from the two-quadrant one. */
function atan2(call: Call): Traced {
  const { g } = call;
  const [y, x] = [input(call, 'a'), input(call, 'b')];
  const shape = broadcastShapes(y.shape, x.shape);
  const zero = scalarLike(g, y, 0);
  const where = (c: Traced, a: Traced, b: Traced): Traced => emit(g, 'Where', [c, a, b], { shape, dtype: 'float32' });
  const base = unary(g, 'Atan', binary(g, 'Div', y, x));
  const pi = where(binary(g, 'Less', y, zero, 'bool'), scalarLike(g, y, -Math.PI), scalarLike(g, y, Math.PI));
  const half = binary(g, 'Mul', unary(g, 'Sign', y), scalarLike(g, y, Math.PI / 2));
  const left = where(binary(g, 'Less', x, zero, 'bool'), binary(g, 'Add', base, pi), base);
  return where(binary(g, 'Equal', x, zero, 'bool'), half, left);
}

/**
 * log(1 + x). Near 0 the sum loses the digits of x: its logarithm is that of u = fl(1 + x), and x / (u − 1) puts them back
 * (Higham, Accuracy and Stability of Numerical Algorithms, 2002, problem 1.5).
 */
function log1p(call: Call): Traced {
  const { g } = call;
  const x = input(call, 'x');
  const one = scalarLike(g, x, 1);
  const u = binary(g, 'Add', x, one);
  const log = unary(g, 'Log', u);
  const where = (c: Traced, a: Traced, b: Traced): Traced =>
    emit(g, 'Where', [c, a, b], { shape: x.shape, dtype: x.dtype });
  const corrected = binary(g, 'Mul', log, binary(g, 'Div', x, binary(g, 'Sub', u, one)));
  const near = where(binary(g, 'Equal', u, one, 'bool'), x, corrected);
  return where(binary(g, 'Less', unary(g, 'Abs', x), scalarLike(g, x, 0.5), 'bool'), near, log);
}

const composed: Kernels = {
  Step: step,
  FloorDiv: floorDiv,
  Mod: mod,
  ClipByValue: clip,
  AddN: addN,
  EluGrad: eluGrad,
  Prelu: prelu,
  IsFinite: finite,
  Select: select,
  Atan2: atan2,
  Square: (call) => squared(call, input(call, 'x')),
  SquaredDifference: (call) => squared(call, binary(call.g, 'Sub', input(call, 'a'), input(call, 'b'))),
  Rsqrt: (call) => unary(call.g, 'Reciprocal', unary(call.g, 'Sqrt', input(call, 'x'))),
  Expm1: (call) => {
    const { g } = call;
    // exp(x) − 1 = 2·tanh(x/2) / (1 − tanh(x/2)), which keeps its digits near 0.
    const x = input(call, 'x');
    const t = unary(g, 'Tanh', binary(g, 'Mul', x, scalarLike(g, x, 0.5)));
    const one = scalarLike(g, x, 1);
    return binary(g, 'Div', binary(g, 'Mul', t, scalarLike(g, x, 2)), binary(g, 'Sub', one, t));
  },
  Log1p: log1p,
  Relu6: (call) => {
    const x = input(call, 'x');
    return emit(call.g, 'Clip', [x, scalarLike(call.g, x, 0), scalarLike(call.g, x, 6)]);
  },
  LeakyRelu: (call) =>
    unary(call.g, 'LeakyRelu', input(call, 'x'), { alpha: { float: (call.attrs as LeakyReluAttrs).alpha } }),
  Selu: same('Selu'),
  IsNan: (call) => emit(call.g, 'IsNaN', [input(call, 'x')], { dtype: 'bool' }),
  IsInf: (call) => emit(call.g, 'IsInf', [input(call, 'x')], { dtype: 'bool' }),
  Cast: (call) => {
    const { dtype } = call.attrs as CastAttrs;
    if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return cast(call.g, input(call, 'x'), dtype);
    return call.unsupported(`to ${dtype}`);
  },
  Identity: (call) => input(call, 'x'),
  StopGradient: (call) => input(call, 'x'),
  ZerosLike: (call) => filled(call.g, input(call, 'x').shape, 0, input(call, 'x').dtype),
  OnesLike: (call) => filled(call.g, input(call, 'x').shape, 1, input(call, 'x').dtype),
  BroadcastTo: (call) => expandTo(call.g, input(call, 'x'), (call.attrs as { shape: number[] }).shape),
};

const UNARY = [
  'Abs',
  'Acos',
  'Acosh',
  'Asin',
  'Asinh',
  'Atan',
  'Atanh',
  'Ceil',
  'Cos',
  'Cosh',
  'Elu',
  'Erf',
  'Exp',
  'Floor',
  'Log',
  'Neg',
  'Reciprocal',
  'Relu',
  'Round',
  'Sigmoid',
  'Sign',
  'Sin',
  'Sinh',
  'Softplus',
  'Sqrt',
  'Tan',
  'Tanh',
] as const;

const BINARY: readonly (readonly [string, string])[] = [
  ['Add', 'Add'],
  ['Sub', 'Sub'],
  ['Multiply', 'Mul'],
  ['RealDiv', 'Div'],
  ['Pow', 'Pow'],
  ['Maximum', 'Max'],
  ['Minimum', 'Min'],
];

export const elementwiseKernels: Kernels = {
  ...Object.fromEntries(UNARY.map((name) => [name, same(name)])),
  ...Object.fromEntries(BINARY.map(([name, op]) => [name, pair(op)])),
  Equal: compare('Equal'),
  NotEqual: compare('Equal', true),
  Less: compare('Less'),
  LessEqual: compare('LessOrEqual'),
  Greater: compare('Greater'),
  GreaterEqual: compare('GreaterOrEqual'),
  LogicalAnd: pair('And'),
  LogicalOr: pair('Or'),
  LogicalNot: same('Not'),
  ...composed,
};
