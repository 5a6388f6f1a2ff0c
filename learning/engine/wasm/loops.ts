/** Loops over the axes of views, by pointers that move along: each pointer has a step in bytes for every axis. */
import { branchIf, type Code, type FunctionBuilder, get, i32, type Local, loop, set, when } from './assembler.ts';

/** An address in a local variable. */
export interface Pointer {
  readonly local: Local;
  /** Bytes from one index to the next, for each axis of the loops. */
  readonly steps: readonly number[];
}

export const advance = (local: Local, bytes: number): Code =>
  bytes === 0 ? [] : set(local, i32.add(get(local), i32.const(bytes)));

/** Repeats the body, a number of times that is known or not. */
export function repeat(f: FunctionBuilder, times: number | Code, body: Code): Code {
  if (times === 0) return [];
  if (times === 1) return body;
  const left = f.local('i32');
  const rounds = loop(body, set(left, i32.sub(get(left), i32.const(1))), branchIf(0, get(left)));
  if (typeof times === 'number') return [set(left, i32.const(times)), rounds];
  return [set(left, times), when(i32.gtS(get(left), i32.const(0)), rounds)];
}

/** A loop over one axis; pointers are where they were afterwards. */
export function alongAxis(
  f: FunctionBuilder,
  axis: number,
  size: number,
  pointers: readonly Pointer[],
  body: Code,
): Code {
  if (size === 1) return body;
  const step = pointers.map(({ local, steps }) => advance(local, steps[axis]!));
  const back = pointers.map(({ local, steps }) => advance(local, -size * steps[axis]!));
  return [repeat(f, size, [body, step]), back];
}

/** Loops over these axes, the first outermost. */
export const alongAxes = (
  f: FunctionBuilder,
  axes: readonly { readonly axis: number; readonly size: number }[],
  pointers: readonly Pointer[],
  body: Code,
): Code => axes.reduceRight<Code>((inner, { axis, size }) => alongAxis(f, axis, size, pointers, inner), body);

/** One thread's part of `size` things in pieces of `unit`: where it begins, and how many things it has, maybe none. */
export function share(
  f: FunctionBuilder,
  thread: Local,
  threads: number,
  size: number,
  unit = 1,
): { readonly code: Code; readonly start: Code; readonly count: Code } {
  if (threads === 1) return { code: [], start: i32.const(0), count: i32.const(size) };
  const chunk = Math.ceil(size / threads / unit) * unit;
  const [start, count] = [f.local('i32'), f.local('i32')];
  const rest = i32.sub(i32.const(size), get(start));
  const code = [
    set(start, i32.mul(get(thread), i32.const(chunk))),
    set(count, i32.select(rest, i32.const(chunk), i32.ltS(rest, i32.const(chunk)))),
  ];
  return { code, start: get(start), count: get(count) };
}
