/** Packing: columns of an operand in panels of eight, as the micro-kernel reads them; what is missing of the last panel is zero. */
import { type Code, type FunctionBuilder, get, i32, type Local, set, v128 } from './assembler.ts';
import { alongAxes, type Pointer } from './loops.ts';
import { PANEL, PANEL_BYTES } from './micro-kernel.ts';

export interface Source {
  /** Address of the panel's first column at the first number; moved about and put back. */
  readonly local: Local;
  /** Bytes from one column to the next. */
  readonly column: number;
  /** How many numbers each column has, by axes, and the bytes from one to the next. */
  readonly sizes: readonly number[];
  readonly steps: readonly number[];
}

/** Four columns as a vector; `count` of them are there. */
function four(f: FunctionBuilder, { local, column }: Source, first: number, count: number): Code {
  if (count <= 0) return v128.const([0, 0, 0, 0]);
  const at = first * column;
  if (column === 4 && count >= 4) return v128.load(get(local), at);
  const vector = f.local('v128');
  const lanes = Array.from({ length: Math.min(4, count) - 1 }, (_, i) =>
    set(vector, v128.loadLane(get(local), get(vector), i + 1, at + (i + 1) * column)),
  );
  return [set(vector, v128.loadOne(get(local), at)), lanes, get(vector)];
}

/** Packs one panel of `columns` columns to where `to` points, which is moved to its end. */
export function packPanel(f: FunctionBuilder, source: Source, columns: number, to: Local): Code {
  const pointer: Pointer = { local: source.local, steps: source.steps };
  const axes = source.sizes.map((size, axis) => ({ axis, size }));
  return alongAxes(
    f,
    axes,
    [pointer],
    [
      v128.store(get(to), four(f, source, 0, Math.min(4, columns))),
      v128.store(get(to), four(f, source, 4, columns - 4), 16),
      set(to, i32.add(get(to), i32.const(PANEL_BYTES))),
    ],
  );
}

export const panelsOf = (columns: number): number => Math.ceil(columns / PANEL);
