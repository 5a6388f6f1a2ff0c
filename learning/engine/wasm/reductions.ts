/** Sums, means and extremes of four lanes at a time: where an accumulator starts, how a value joins it, and what comes of it in the end. */
import { type Code, type FunctionBuilder, f32x4, get, type Local, set, v128 } from './assembler.ts';

interface Reduction {
  readonly start: number;
  readonly join: (a: Code, b: Code) => Code;
}

const REDUCTIONS = {
  ReduceSum: { start: 0, join: f32x4.add },
  ReduceMean: { start: 0, join: f32x4.add },
  ReduceMax: { start: Number.NEGATIVE_INFINITY, join: f32x4.max },
  ReduceMin: { start: Number.POSITIVE_INFINITY, join: f32x4.min },
} as const satisfies Record<string, Reduction>;

type ReductionName = keyof typeof REDUCTIONS;

export const isReduction = (op: string): op is ReductionName => Object.hasOwn(REDUCTIONS, op);

const reductionOf = (op: string): Reduction => REDUCTIONS[op as ReductionName];

const FIRST_LANE = v128.const([-1, 0, 0, 0]);

/** An accumulator before anything is in it. */
export const startOf = (op: string): Code => f32x4.const(reductionOf(op).start);

/** The accumulator with four more values in it. */
export const joined = (op: string, sum: Code, values: Code): Code => reductionOf(op).join(sum, values);

/** The accumulator with the value of the first lane in it. */
export const joinedFirst = (op: string, sum: Code, value: Code): Code =>
  joined(op, sum, v128.select(value, startOf(op), FIRST_LANE));

/** All lanes joined, in every lane. */
export function joinLanes(f: FunctionBuilder, op: string, vector: Local): Code {
  const half = f.local('v128');
  return [
    set(half, joined(op, get(vector), v128.shuffle(get(vector), get(vector), [2, 3, 0, 1]))),
    set(vector, joined(op, get(half), v128.shuffle(get(half), get(half), [1, 0, 3, 2]))),
  ];
}

/** What is written of an accumulator in which `count` values are. */
export const finished = (op: string, sum: Local, count: number): Code =>
  op === 'ReduceMean' ? f32x4.mul(get(sum), f32x4.const(1 / count)) : get(sum);
