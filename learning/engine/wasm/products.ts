/**
 * Products of matrices, also in batches: a panel of the right operand is packed and multiplied with all rows of the left one. Threads
 * take panels, or matrices where there are enough of them.
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import { type Code, call, type FunctionBuilder, get, i32, type Local, set, when } from './assembler.ts';
import { advance, alongAxes, type Pointer, repeat, share } from './loops.ts';
import { PANEL, PANEL_BYTES, tilesOf } from './micro-kernel.ts';
import type { Kernel, Workshop } from './module.ts';
import type { Operation } from './operations.ts';
import { packPanel } from './panels.ts';
import { mergedAxes, type View } from './views.ts';

const bytes = (strides: readonly number[]): number[] => strides.map((stride) => stride * 4);

interface Matrices {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Sizes of the batch, and each operand's strides along it. */
  readonly batch: readonly number[];
  readonly along: readonly (readonly number[])[];
}

function shapesOf({ inputs, into }: Operation): Matrices {
  const [a, b] = inputs as [View, View];
  const leading = into.shape.slice(0, -2);
  const { shape, strides } = mergedAxes(
    leading,
    [a, b, into].map((view) => view.strides.slice(0, -2)),
  );
  return { rows: a.shape.at(-2)!, columns: b.shape.at(-1)!, depth: a.shape.at(-1)!, batch: shape, along: strides };
}

/** Bytes that each thread packs into. */
export const productScratch = (operation: Operation): number => shapesOf(operation).depth * PANEL_BYTES;

/** One panel times all rows: `a` and `c` are moved and put back, `packed` is where the panel lies. */
function rowsTimesPanel(f: FunctionBuilder, shop: Workshop, operation: Operation, columns: number, p: Addresses): Code {
  const [left] = operation.inputs as [View, View];
  const { rows, depth } = shapesOf(operation);
  const [row, step] = bytes(left.strides.slice(-2)) as [number, number];
  const into = operation.into.strides.at(-2)! * 4;
  const tiles = tilesOf(rows).map(({ size, count }) => {
    const kernel = shop.kernel({ rows: size, columns, length: depth, runs: 1, row, step, jump: 0, into, adds: false });
    const once = [call(kernel, get(p.a), get(p.packed), get(p.c)), advance(p.a, size * row), advance(p.c, size * into)];
    return repeat(f, count, once);
  });
  return [tiles, advance(p.a, -rows * row), advance(p.c, -rows * into)];
}

interface Addresses {
  readonly a: Local;
  readonly b: Local;
  readonly c: Local;
  readonly to: Local;
  readonly packed: Local;
}

function panel(f: FunctionBuilder, shop: Workshop, operation: Operation, columns: number, p: Addresses): Code {
  const [, right] = operation.inputs as [View, View];
  const [step, column] = bytes(right.strides.slice(-2)) as [number, number];
  const { depth } = shapesOf(operation);
  const source = { local: p.b, column, sizes: [depth], steps: [step] };
  return [
    set(p.to, get(p.packed)),
    packPanel(f, source, columns, p.to),
    rowsTimesPanel(f, shop, operation, columns, p),
    advance(p.b, PANEL * column),
    advance(p.c, PANEL_BYTES),
  ];
}

export function product(shop: Workshop, operation: Operation): Kernel {
  const [left, right] = operation.inputs as [View, View];
  const { rows, columns, depth, batch, along } = shapesOf(operation);
  const scratch = shop.scratch(operation);
  const { threads } = shop;
  const shared = threads > 1 && sizeOf(batch) * rows * columns * depth >= WORTH_SHARING;
  const byBatch = shared && batch.length > 0 && batch[0]! >= threads;
  const code = (f: FunctionBuilder, thread: Local): Code => {
    const p: Addresses = {
      ...{ a: f.local('i32'), b: f.local('i32'), c: f.local('i32') },
      ...{ to: f.local('i32'), packed: f.local('i32') },
    };
    const full = Math.floor(columns / PANEL);
    const rest = columns % PANEL;
    const part = share(f, thread, shared && !byBatch ? threads : 1, full);
    const columnBytes = right.strides.at(-1)! * 4;
    const skip = (local: Local, by: number): Code =>
      set(local, i32.add(get(local), i32.mul(part.start, i32.const(by))));
    const save = [p.b, p.c].map((local) => ({ local, kept: f.local('i32') }));
    // the last, narrow panel is for the thread that comes last
    const last = shared && !byBatch ? i32.eq(get(thread), i32.const(threads - 1)) : i32.const(1);
    const one = [
      save.map(({ local, kept }) => set(kept, get(local))),
      [skip(p.b, PANEL * columnBytes), skip(p.c, PANEL_BYTES)],
      full > 0 ? repeat(f, shared && !byBatch ? part.count : full, panel(f, shop, operation, PANEL, p)) : [],
      save.map(({ local, kept }) => set(local, get(kept))),
      rest === 0
        ? []
        : when(last, [
            [advance(p.b, full * PANEL * columnBytes), advance(p.c, full * PANEL_BYTES)],
            panel(f, shop, operation, rest, p),
            save.map(({ local, kept }) => set(local, get(kept))),
          ]),
    ];
    const pointers: Pointer[] = [p.a, p.b, p.c].map((local, i) => ({ local, steps: bytes(along[i]!) }));
    const start = [left, right, operation.into].map((view, i) =>
      set(pointers[i]!.local, i32.const(shop.address(view.root) + view.offset * 4)),
    );
    const packed = set(p.packed, shop.threadScratch(scratch, thread, depth * PANEL_BYTES));
    const axes = batch.map((size, axis) => ({ axis, size }));
    if (!byBatch) return [start, packed, part.code, alongAxes(f, axes, pointers, one)];
    const matrices = share(f, thread, threads, batch[0]!);
    const moved = pointers.map(({ local, steps }) =>
      set(local, i32.add(get(local), i32.mul(matrices.start, i32.const(steps[0]!)))),
    );
    const next = pointers.map(({ local, steps }) => advance(local, steps[0]!));
    const inner = alongAxes(f, axes.slice(1), pointers, one);
    return [start, packed, matrices.code, moved, repeat(f, matrices.count, [inner, next])];
  };
  return { shared, code };
}

/** Products with fewer multiplications than this are not worth a thread. */
const WORTH_SHARING = 2 ** 19;
