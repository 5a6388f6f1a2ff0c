/**
 * The two products that a linear model asks of features again and again, scores = X·Wᵀ and the gradient Rᵀ·X, with the features
 * laid out once. In WebAssembly on vectors of two float64 where there is such, in plain loops otherwise; both add up in an order
 * that depends on nothing but the shape.
 */
import {
  type Code,
  type FunctionBuilder,
  f64x2,
  get,
  i32,
  type Local,
  moduleBuilder,
  set,
  v128,
} from '../engine/wasm/assembler.ts';
import { advance, repeat } from '../engine/wasm/loops.ts';
import { hasSimd } from '../engine/wasm/support.ts';
import type { Features } from './features.ts';
import { multiplyTransposed, transpose } from './products.ts';

export interface FeatureProducts {
  /** out[i, c] = Σ_j X[i, j] · weights[c, j] */
  scores(weights: Float64Array, out: Float64Array): void;
  /** out[c, j] = Σ_i residuals[c, i] · X[i, j] */
  gradient(residuals: Float64Array, out: Float64Array): void;
}

/** A tile of the result: four rows of the left operand times two of the right, summed over in pieces of four numbers. */
const [ROWS, COLUMNS, PIECE] = [4, 2, 4];
const PIECE_BYTES = 8 * PIECE;
const PAGE = 65_536;
/** Problems up to this size take turns in one memory; larger ones have one each. */
const SHARED_BYTES = 64 * PAGE;
/** What a memory of WebAssembly may hold without doubt. */
const MOST_BYTES = 2 ** 31;

const padded = (size: number, unit: number): number => Math.ceil(size / unit) * unit;

/** Sums of a tile, row by row; `a` and `b` are pointers to its rows, which move along. */
function sumTile(
  f: FunctionBuilder,
  sums: readonly Local[],
  a: readonly Local[],
  b: readonly Local[],
  pieces: Code,
): Code {
  const left = f.local('v128');
  const right = b.map(() => f.local('v128'));
  const half = (offset: number): Code => [
    b.map((pointer, c) => set(right[c]!, v128.load(get(pointer), offset))),
    a.map((pointer, r) => [
      set(left, v128.load(get(pointer), offset)),
      right.map((value, c) => {
        const sum = sums[r * COLUMNS + c]!;
        return set(sum, f64x2.add(get(sum), f64x2.mul(get(left), get(value))));
      }),
    ]),
  ];
  return [
    sums.map((sum) => set(sum, v128.const([0, 0, 0, 0]))),
    repeat(f, pieces, [half(0), half(16), [...a, ...b].map((pointer) => advance(pointer, PIECE_BYTES))]),
  ];
}

/** A module whose `multiply(a, b, out, pieces, tiles of rows, tiles of columns)` writes a·bᵀ for operands padded to whole tiles. */
function productModule(): WebAssembly.Module {
  const module = moduleBuilder();
  module.add(
    ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'],
    (f, a, b, out, pieces, rowTiles, columnTiles) => {
      const sums = Array.from({ length: ROWS * COLUMNS }, () => f.local('v128'));
      const [left, right] = [ROWS, COLUMNS].map((count) => Array.from({ length: count }, () => f.local('i32')));
      const [line, outLine, from, into] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
      const rowsFrom = (pointers: readonly Local[], start: Local): Code =>
        pointers.map((pointer, k) => set(pointer, k === 0 ? get(start) : i32.add(get(pointers[k - 1]!), get(line))));
      const stored = (row: number): Code => {
        const pair = [get(sums[row * COLUMNS]!), get(sums[row * COLUMNS + 1]!)] as const;
        const added = f64x2.add(v128.shuffle(...pair, [0, 1, 4, 5]), v128.shuffle(...pair, [2, 3, 6, 7]));
        return [v128.store(get(into), added), set(into, i32.add(get(into), get(outLine)))];
      };
      const tile: Code = [
        rowsFrom(left!, a),
        rowsFrom(right!, from),
        sumTile(f, sums, left!, right!, get(pieces)),
        Array.from({ length: ROWS }, (_, row) => stored(row)),
        // back up, and one tile on
        set(into, i32.sub(get(into), i32.sub(i32.mul(get(outLine), i32.const(ROWS)), i32.const(8 * COLUMNS)))),
        set(from, i32.add(get(from), i32.mul(get(line), i32.const(COLUMNS)))),
      ];
      return [
        set(line, i32.mul(get(pieces), i32.const(PIECE_BYTES))),
        set(outLine, i32.mul(get(columnTiles), i32.const(8 * COLUMNS))),
        repeat(f, get(rowTiles), [
          [set(from, get(b)), set(into, get(out))],
          repeat(f, get(columnTiles), tile),
          set(a, i32.add(get(a), i32.mul(get(line), i32.const(ROWS)))),
          set(out, i32.add(get(out), i32.mul(get(outLine), i32.const(ROWS)))),
        ]),
      ];
    },
    'multiply',
  );
  return new WebAssembly.Module(module.finish({ pages: 0, shared: false }));
}

type Multiply = (a: number, b: number, out: number, pieces: number, rowTiles: number, columnTiles: number) => void;

interface Workspace {
  readonly numbers: Float64Array;
  readonly multiply: Multiply;
  /** Whose features lie there. */
  owner?: object;
}

let compiled: WebAssembly.Module | undefined;
let shared: Workspace | undefined;

function workspace(bytes: number): Workspace {
  compiled ??= productModule();
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) });
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  return { numbers: new Float64Array(memory.buffer), multiply: exports.multiply as Multiply };
}

function sharedWorkspace(): Workspace {
  shared ??= workspace(SHARED_BYTES);
  return shared;
}

/** A matrix in the memory: its rows are `stride` numbers apart, from number `at` on. */
interface Block {
  readonly at: number;
  readonly rows: number;
  readonly stride: number;
}

/** Places blocks one after another. */
function layout() {
  let end = 0;
  return {
    block(rows: number, stride: number): Block {
      const at = end;
      end += rows * stride;
      return { at, rows, stride };
    },
    bytes: () => 8 * end,
  };
}

function write(numbers: Float64Array, { at, stride }: Block, data: Float64Array, columns: number): void {
  for (let i = 0, from = 0; from < data.length; i++, from += columns) {
    numbers.set(data.subarray(from, from + columns), at + i * stride);
  }
}

function vectorProducts(x: Float64Array, rows: number, columns: number, classes: number): FeatureProducts | undefined {
  const plan = layout();
  const depths = [padded(columns, PIECE), padded(rows, PIECE)] as const;
  const wide = padded(classes, COLUMNS);
  const byRow = plan.block(padded(rows, ROWS), depths[0]);
  const byColumn = plan.block(padded(columns, ROWS), depths[1]);
  const weightBlock = plan.block(wide, depths[0]);
  const residualBlock = plan.block(wide, depths[1]);
  const scoreBlock = plan.block(byRow.rows, wide);
  const gradientBlock = plan.block(byColumn.rows, wide);
  if (plan.bytes() > MOST_BYTES) return undefined;
  const space = plan.bytes() > SHARED_BYTES ? workspace(plan.bytes()) : sharedWorkspace();
  const { numbers, multiply } = space;
  const owner = {};
  const settle = (): void => {
    if (space.owner === owner) return;
    numbers.fill(0, 0, plan.bytes() / 8);
    write(numbers, byRow, x, columns);
    write(numbers, byColumn, transpose(x, rows, columns), rows);
    space.owner = owner;
  };
  const product = (a: Block, b: Block, out: Block): void =>
    multiply(8 * a.at, 8 * b.at, 8 * out.at, a.stride / PIECE, a.rows / ROWS, b.rows / COLUMNS);
  return {
    scores(weights, out) {
      settle();
      write(numbers, weightBlock, weights, columns);
      product(byRow, weightBlock, scoreBlock);
      for (let i = 0, at = scoreBlock.at; i < rows; i++, at += wide) {
        for (let c = 0; c < classes; c++) out[i * classes + c] = numbers[at + c]!;
      }
    },
    gradient(residuals, out) {
      settle();
      write(numbers, residualBlock, residuals, rows);
      product(byColumn, residualBlock, gradientBlock);
      for (let j = 0, at = gradientBlock.at; j < columns; j++, at += wide) {
        for (let c = 0; c < classes; c++) out[c * columns + j] = numbers[at + c]!;
      }
    },
  };
}

/** The same in plain loops. */
export function plainProducts(x: Float64Array, rows: number, columns: number): FeatureProducts {
  const xTransposed = transpose(x, rows, columns);
  return {
    scores: (weights, out) => multiplyTransposed(x, weights, columns, out),
    gradient: (residuals, out) => multiplyTransposed(residuals, xTransposed, rows, out),
  };
}

/** Products of features [rows, columns] with as many weight vectors as there are classes. */
export function featureProducts({ rows, columns, data }: Features, classes: number): FeatureProducts {
  const x = data instanceof Float64Array ? data : new Float64Array(data);
  return (hasSimd() && vectorProducts(x, rows, columns, classes)) || plainProducts(x, rows, columns);
}
