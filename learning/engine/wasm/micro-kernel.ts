/**
 * The inner loop of every product: up to six rows of one operand times a panel of eight columns of the other, sums in registers.
 * Rows are read where they are, number by number; panels are packed, eight columns of one row next to another. What is summed over
 * may lie in several runs: the rows of an image that a filter covers, or the rows of pictures.
 */
import { type Code, type FunctionRef, get, type Local, type ModuleBuilder, set, v128 } from './assembler.ts';
import { advance, repeat } from './loops.ts';
import type { Surroundings } from './surroundings.ts';

export const PANEL = 8;
export const PANEL_BYTES = 4 * PANEL;
const MOST_ROWS = 6;

export interface Tile {
  readonly rows: number;
  /** Columns that are written, at most eight. */
  readonly columns: number;
  /** Numbers that are multiplied and added, in a run. */
  readonly length: number;
  readonly runs: number;
  /** Bytes: from one row to the next, from one number of a row to the next, and from the end of a run to the next. */
  readonly row: number;
  readonly step: number;
  readonly jump: number;
  /** Bytes from one row of the result to the next. */
  readonly into: number;
  /** Whether the result is added to what is there. */
  readonly adds: boolean;
}

/** Rows in tiles of equal size, larger ones first; few rows left over are shared with the tile before. */
export function tilesOf(rows: number): { readonly size: number; readonly count: number }[] {
  const full = Math.floor(rows / MOST_ROWS);
  const rest = rows % MOST_ROWS;
  if (rest === 0) return [{ size: MOST_ROWS, count: full }];
  if (rest > 2 || full === 0)
    return [
      { size: MOST_ROWS, count: full },
      { size: rest, count: 1 },
    ].filter((t) => t.count > 0);
  // 6 + 1 = 4 + 3, 6 + 2 = 4 + 4
  const split =
    rest === 2
      ? [{ size: 4, count: 2 }]
      : [
          { size: 4, count: 1 },
          { size: 3, count: 1 },
        ];
  return [{ size: MOST_ROWS, count: full - 1 }, ...split].filter((t) => t.count > 0);
}

const UNROLL = 4;
/** Runs this short are written out. */
const SHORT = 12;

function emit(module: ModuleBuilder, tile: Tile, madd: Surroundings['madd']): FunctionRef {
  const { rows, columns, length, runs, row, step, jump, into, adds } = tile;
  return module.add(['i32', 'i32', 'i32'], (f, a, b, c) => {
    const sums = Array.from({ length: rows }, () => [f.local('v128'), f.local('v128')] as const);
    const [b0, b1, number] = [f.local('v128'), f.local('v128'), f.local('v128')];
    const once = (k: number): Code => [
      set(b0, v128.load(get(b), k * PANEL_BYTES)),
      columns > 4 ? set(b1, v128.load(get(b), k * PANEL_BYTES + 16)) : [],
      sums.map(([low, high], i) => [
        set(number, v128.loadSplat(get(a), i * row + k * step)),
        set(low, madd(get(number), get(b0), get(low))),
        columns > 4 ? set(high, madd(get(number), get(b1), get(high))) : [],
      ]),
    ];
    const several = (times: number): Code => [
      Array.from({ length: times }, (_, k) => once(k)),
      advance(a, times * step),
      advance(b, times * PANEL_BYTES),
    ];
    const unrolled = length <= SHORT ? length : UNROLL;
    const run: Code = [repeat(f, Math.floor(length / unrolled), several(unrolled)), several(length % unrolled)];
    return [
      adds ? sums.map((pair, i) => readTile(pair, get(c), i * into, columns)) : [],
      repeat(f, runs, [run, runs > 1 ? advance(a, jump) : []]),
      sums.map((pair, i) => writeTile(pair, get(c), i * into, columns)),
    ];
  });
}

type Pair = readonly [Local, Local];

/** Numbers of a row of the result, four or one at a time. */
function readTile([low, high]: Pair, at: Code, offset: number, columns: number): Code {
  const part = (local: Local, from: number, count: number): Code => {
    if (count <= 0) return [];
    if (count >= 4) return set(local, v128.load(at, offset + from * 4));
    const first = set(local, v128.loadOne(at, offset + from * 4));
    const others = Array.from({ length: count - 1 }, (_, i) =>
      set(local, v128.loadLane(at, get(local), i + 1, offset + (from + i + 1) * 4)),
    );
    return [first, others];
  };
  return [part(low, 0, columns), part(high, 4, columns - 4)];
}

function writeTile([low, high]: Pair, at: Code, offset: number, columns: number): Code {
  const part = (local: Local, from: number, count: number): Code => {
    if (count <= 0) return [];
    if (count >= 4) return v128.store(at, get(local), offset + from * 4);
    return Array.from({ length: count }, (_, i) => v128.storeLane(at, get(local), i, offset + (from + i) * 4));
  };
  return [part(low, 0, columns), part(high, 4, columns - 4)];
}

/** The kernels of a module, each shape made once. */
export function microKernels(module: ModuleBuilder, madd: Surroundings['madd']): (tile: Tile) => FunctionRef {
  const made = new Map<string, FunctionRef>();
  return (tile) => {
    const key = JSON.stringify(tile);
    const kernel = made.get(key) ?? emit(module, tile, madd);
    made.set(key, kernel);
    return kernel;
  };
}
