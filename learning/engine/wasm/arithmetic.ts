/**
 * Arithmetic on four lanes: what each elementwise operator is in instructions. Truth is a mask, all ones or all zeros. Exponential,
 * logarithm and their kin are series of our own, good to about one unit in the last place of a float.
 */
import type { Attributes, ElementType } from '../onnx/graph.ts';
import { type Code, type FunctionBuilder, f32x4, get, i32x4, type Local, set, v128 } from './assembler.ts';

/** Where an operator is written down. */
export interface Site {
  readonly f: FunctionBuilder;
  readonly attributes: Attributes;
  /** a·b + c, as this machine does it. */
  readonly madd: (a: Code, b: Code, c: Code) => Code;
}

/** Operands are cheap to write down more than once: they read a local variable or are constants. */
type Emit = (site: Site, ...operands: Code[]) => Code;

const attribute = ({ attributes }: Site, name: string, otherwise: number): number => {
  const value = attributes[name];
  if (value === undefined) return otherwise;
  return typeof value === 'number' ? value : (value as { float: number }).float;
};

const c = f32x4.const;

/** Puts a value into a local variable of its own. */
function keep(site: Site, value: Code): { readonly code: Code; readonly local: Code; readonly name: Local } {
  const name = site.f.local('v128');
  return { code: set(name, value), local: get(name), name };
}

/** Σ coefficients[i]·xⁱ */
const polynomial = ({ madd }: Site, x: Code, coefficients: readonly number[]): Code =>
  coefficients
    .slice(0, -1)
    .reduceRight<Code>((sum, coefficient) => madd(sum, x, c(coefficient)), c(coefficients.at(-1)!));

const LN2_HIGH = 0.693359375;
const LN2_LOW = Math.LN2 - LN2_HIGH;
const TAYLOR_EXP = [1, 1, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040];

const clamp = (x: Code, low: number, high: number): Code => f32x4.pmin(f32x4.pmax(x, c(low)), c(high));

/** eˣ = 2ⁿ·eʳ with |r| ≤ ln 2 / 2, the power of two in two factors, so that neither overflows before the product does. */
const exp: Emit = (site, x) => {
  const within = keep(site, clamp(x, -104, 89));
  const n = keep(site, f32x4.nearest(f32x4.mul(within.local, c(Math.LOG2E))));
  const near = f32x4.sub(within.local, f32x4.mul(n.local, c(LN2_HIGH)));
  const r = keep(site, f32x4.sub(near, f32x4.mul(n.local, c(LN2_LOW))));
  const whole = keep(site, i32x4.fromFloat(n.local));
  const half = keep(site, i32x4.shrS(whole.local, 1));
  const power = (exponent: Code): Code => i32x4.shl(i32x4.add(exponent, i32x4.const(127)), 23);
  const scaled = f32x4.mul(polynomial(site, r.local, TAYLOR_EXP), power(half.local));
  return [
    ...[within.code, n.code, r.code, whole.code, half.code],
    f32x4.mul(scaled, power(i32x4.sub(whole.local, half.local))),
  ];
};

/** The bits of √½: mantissas are taken from [√½, √2). */
const ROOT_HALF_BITS = 0x3f3504f3;
const SMALLEST_NORMAL = 2 ** -126;

/** log x = e·ln 2 + 2·artanh((m − 1)/(m + 1)) */
const log: Emit = (site, x) => {
  const tiny = keep(site, f32x4.lt(x, c(SMALLEST_NORMAL)));
  const normal = keep(site, v128.select(f32x4.mul(x, c(2 ** 24)), x, tiny.local));
  const e = keep(site, i32x4.shrS(i32x4.sub(normal.local, i32x4.const(ROOT_HALF_BITS)), 23));
  const m = keep(site, i32x4.sub(normal.local, i32x4.shl(e.local, 23)));
  const s = keep(site, f32x4.div(f32x4.sub(m.local, c(1)), f32x4.add(m.local, c(1))));
  const square = keep(site, f32x4.mul(s.local, s.local));
  const exponent = keep(site, f32x4.sub(f32x4.fromInt(e.local), v128.and(tiny.local, c(24))));
  const series = polynomial(site, square.local, [2, 2 / 3, 2 / 5, 2 / 7, 2 / 9]);
  const low = site.madd(exponent.local, c(LN2_LOW), f32x4.mul(s.local, series));
  const finite = keep(site, f32x4.add(f32x4.mul(exponent.local, c(LN2_HIGH)), low));
  const atZero = v128.select(c(Number.NEGATIVE_INFINITY), finite.local, f32x4.eq(x, c(0)));
  const ordinary = f32x4.lt(x, c(Number.POSITIVE_INFINITY));
  // x − x is not a number for infinities and what is not a number itself
  const beyond = v128.select(x, c(Number.NaN), f32x4.gt(x, c(0)));
  const positive = v128.and(ordinary, f32x4.ge(x, c(0)));
  return [
    ...[tiny.code, normal.code, e.code, m.code, s.code, square.code, exponent.code, finite.code],
    v128.select(atZero, beyond, positive),
  ];
};

const sigmoid: Emit = (site, x) => {
  const e = keep(site, exp(site, f32x4.neg(x)));
  return [e.code, f32x4.div(c(1), f32x4.add(c(1), e.local))];
};

/** Near 0 by Lambert's continued fraction, which keeps its digits there; elsewhere 1 − 2/(e²ˣ + 1). */
const tanh: Emit = (site, x) => {
  const square = keep(site, f32x4.mul(x, x));
  const fraction = [11, 9, 7, 5, 3, 1].reduce<Code>(
    (below, odd) => f32x4.add(c(odd), f32x4.div(square.local, below)),
    c(13),
  );
  const e = keep(site, exp(site, f32x4.mul(x, c(2))));
  const far = f32x4.sub(c(1), f32x4.div(c(2), f32x4.add(e.local, c(1))));
  const isNear = f32x4.lt(f32x4.abs(x), c(0.75));
  return [square.code, e.code, v128.select(f32x4.div(x, fraction), far, isNear)];
};

/** erf near 0: 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n!·(2n + 1)) */
const ERF_SERIES = Array.from({ length: 12 }, (_, n) => {
  let factorial = 1;
  for (let i = 2; i <= n; i++) factorial *= i;
  return ((2 / Math.sqrt(Math.PI)) * (-1) ** n) / (factorial * (2 * n + 1));
});
/** Abramowitz and Stegun, 7.1.26: 1 − erf x = e^(−x²) · Σ aᵢtⁱ with t = 1/(1 + px), to 1.5e-7. */
const ERF_TAIL = [0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429];

const erf: Emit = (site, x) => {
  const square = keep(site, f32x4.mul(x, x));
  const size = keep(site, f32x4.abs(x));
  const t = keep(site, f32x4.div(c(1), f32x4.add(c(1), f32x4.mul(size.local, c(0.3275911)))));
  const decay = keep(site, exp(site, f32x4.neg(square.local)));
  const tail = f32x4.mul(f32x4.mul(polynomial(site, t.local, ERF_TAIL), t.local), decay.local);
  const sign = v128.and(x, i32x4.const(0x80000000 | 0));
  const far = v128.or(f32x4.sub(c(1), tail), sign);
  const near = f32x4.mul(x, polynomial(site, square.local, ERF_SERIES));
  return [square.code, size.code, t.code, decay.code, v128.select(near, far, f32x4.lt(size.local, c(1)))];
};

const chain =
  (op: (...args: Code[]) => Code): Emit =>
  (_, ...operands) =>
    operands.reduce((a, b) => op(a, b));
const plain =
  (op: (...args: Code[]) => Code): Emit =>
  (_, ...operands) =>
    op(...operands);

const identity: Emit = (_, x) => x;
const where: Emit = (_, condition, a, b) => v128.select(a, b, condition);

const FLOAT: Readonly<Record<string, Emit>> = {
  Add: plain(f32x4.add),
  Sub: plain(f32x4.sub),
  Mul: plain(f32x4.mul),
  Div: plain(f32x4.div),
  Sum: chain(f32x4.add),
  Max: chain(f32x4.max),
  Min: chain(f32x4.min),
  Neg: plain(f32x4.neg),
  Abs: plain(f32x4.abs),
  Sqrt: plain(f32x4.sqrt),
  Floor: plain(f32x4.floor),
  Ceil: plain(f32x4.ceil),
  Round: plain(f32x4.nearest),
  Reciprocal: (_, x) => f32x4.div(c(1), x),
  Relu: (_, x) => f32x4.pmax(x, c(0)),
  LeakyRelu: (site, x) => v128.select(f32x4.mul(x, c(attribute(site, 'alpha', 0.01))), x, f32x4.lt(x, c(0))),
  HardSigmoid: (site, x) =>
    clamp(f32x4.add(f32x4.mul(x, c(attribute(site, 'alpha', 0.2))), c(attribute(site, 'beta', 0.5))), 0, 1),
  Clip: (_, x, low, high) => f32x4.pmin(f32x4.pmax(x, low!), high!),
  Sign: (_, x) => f32x4.sub(v128.and(f32x4.gt(x!, c(0)), c(1)), v128.and(f32x4.lt(x!, c(0)), c(1))),
  Exp: exp,
  Log: log,
  Sigmoid: sigmoid,
  Tanh: tanh,
  Erf: erf,
  Identity: identity,
  Equal: plain(f32x4.eq),
  Less: plain(f32x4.lt),
  LessOrEqual: plain(f32x4.le),
  Greater: plain(f32x4.gt),
  GreaterOrEqual: plain(f32x4.ge),
};

const INTEGER: Readonly<Record<string, Emit>> = {
  Add: plain(i32x4.add),
  Sub: plain(i32x4.sub),
  Mul: plain(i32x4.mul),
  Sum: chain(i32x4.add),
  Max: chain(i32x4.max),
  Min: chain(i32x4.min),
  Neg: plain(i32x4.neg),
  Abs: plain(i32x4.abs),
  Identity: identity,
  Equal: plain(i32x4.eq),
  Less: plain(i32x4.lt),
  LessOrEqual: plain(i32x4.le),
  Greater: plain(i32x4.gt),
  GreaterOrEqual: plain(i32x4.ge),
};

const TRUTH: Readonly<Record<string, Emit>> = {
  And: plain(v128.and),
  Or: plain(v128.or),
  Not: plain(v128.not),
  Identity: identity,
  Where: where,
};

type Lanes = 'float' | 'integer' | 'truth';
const lanesOf = (dtype: ElementType): Lanes => (dtype === 'float32' ? 'float' : dtype === 'bool' ? 'truth' : 'integer');
const TABLES = { float: FLOAT, integer: INTEGER, truth: TRUTH } as const satisfies Record<Lanes, object>;

/** One kind of number to another, by `from-to`. */
const CASTS: Readonly<Record<`${Lanes}-${Lanes}`, Emit>> = {
  'float-float': identity,
  'integer-integer': identity,
  'truth-truth': identity,
  'float-integer': plain(i32x4.fromFloat),
  'integer-float': plain(f32x4.fromInt),
  'truth-float': (_, x) => v128.and(x, c(1)),
  'truth-integer': (_, x) => v128.and(x, i32x4.const(1)),
  'float-truth': (_, x) => f32x4.ne(x, c(0)),
  'integer-truth': (_, x) => i32x4.ne(x, i32x4.const(0)),
};

function find(op: string, from: ElementType, to: ElementType): Emit | undefined {
  if (op === 'Cast') return CASTS[`${lanesOf(from)}-${lanesOf(to)}`];
  const table: Readonly<Record<string, Emit>> = TABLES[lanesOf(from)];
  return Object.hasOwn(table, op) ? table[op] : undefined;
}

/** Whether there is such an operator for operands of this type. */
export const isArithmetic = (op: string, from: ElementType, to: ElementType): boolean =>
  find(op, from, to) !== undefined;

/** The instructions of an operator; `from` is the type of its first operand. */
export function arithmetic(op: string, from: ElementType, to: ElementType, site: Site, operands: Code[]): Code {
  return find(op, from, to)!(site, ...operands);
}
