/**
 * Products a·bᵀ of float64 matrices on WebAssembly's vectors of two, by a module of one function that is made here. Operands lie in
 * a memory as blocks that are padded with zeros to whole tiles; sums are added up in an order that depends on nothing but the shape.
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

/** A tile of the result: four rows of the left operand times two of the right, summed over in pieces of four numbers. */
const [ROWS, COLUMNS, PIECE] = [4, 2, 4];
const PIECE_BYTES = 8 * PIECE;
const PAGE = 65_536;
/** Problems up to this size take turns in one memory; larger ones have one each. */
const SHARED_BYTES = 64 * PAGE;

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

let compiled: WebAssembly.Module | undefined;
let shared: Workspace | undefined;

/** A matrix in a memory: its rows are `stride` numbers apart, from number `at` on. */
export interface Block {
  readonly at: number;
  readonly rows: number;
  readonly stride: number;
}

/** Room for matrices, and the product of two that lie there. */
export interface Workspace {
  readonly numbers: Float64Array;
  /** Whose numbers lie there. */
  owner?: object;
  /** out = a·bᵀ for operands and result of `layout`, of the same stride. */
  product(a: Block, b: Block, out: Block): void;
}

/** @returns a memory of at least so many bytes: the common one where they fit, else one of its own */
export function workspaceFor(bytes: number): Workspace {
  if (bytes > SHARED_BYTES) return newWorkspace(bytes);
  shared ??= newWorkspace(SHARED_BYTES);
  return shared;
}

function newWorkspace(bytes: number): Workspace {
  compiled ??= productModule();
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) });
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  const multiply = exports.multiply as Multiply;
  return {
    numbers: new Float64Array(memory.buffer),
    product: (a, b, out) => multiply(8 * a.at, 8 * b.at, 8 * out.at, a.stride / PIECE, a.rows / ROWS, b.rows / COLUMNS),
  };
}

/** Places blocks one after another. */
export function layout() {
  let end = 0;
  const block = (rows: number, stride: number): Block => {
    const at = end;
    end += rows * stride;
    return { at, rows, stride };
  };
  return {
    /** A left operand of so many rows. */
    left: (rows: number, depth: number) => block(padded(rows, ROWS), padded(depth, PIECE)),
    /** A right operand of so many rows. */
    right: (rows: number, depth: number) => block(padded(rows, COLUMNS), padded(depth, PIECE)),
    /** The result of these two. */
    result: (a: Block, b: Block) => block(a.rows, b.rows),
    bytes: () => 8 * end,
  };
}

/** Writes rows of `columns` numbers into a block, whose padding is left as it is. */
export function write(numbers: Float64Array, { at, stride }: Block, data: Float64Array, columns: number): void {
  for (let i = 0, from = 0; from < data.length; i++, from += columns) {
    numbers.set(data.subarray(from, from + columns), at + i * stride);
  }
}
