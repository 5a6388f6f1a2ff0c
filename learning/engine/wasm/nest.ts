/**
 * A group of maps and reductions as one loop nest. Axes that all views walk alike are merged; the last axis is taken four numbers at
 * a time. A reduction adds up in registers: along the last axis lane by lane, or, where the last axis is kept, for sixteen columns
 * at once.
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import type { Constant, ElementType, Value } from '../onnx/graph.ts';
import { arithmetic } from './arithmetic.ts';
import { type Code, type FunctionBuilder, f32x4, get, i32, i32x4, type Local, set, v128, when } from './assembler.ts';
import type { Group } from './groups.ts';
import { advance, alongAxes, type Pointer, repeat, share } from './loops.ts';
import type { Kernel } from './module.ts';
import type { Operation } from './operations.ts';
import { mergedAxes, reshaped, rowMajor, type View } from './views.ts';

/** What a kernel needs to know of the module that it is part of. */
export interface Surroundings {
  readonly threads: number;
  readonly madd: (a: Code, b: Code, c: Code) => Code;
  /** Byte address of a buffer. */
  address(root: Value): number;
  dtype(root: Value): ElementType;
  constant(root: Value): Constant | undefined;
}

const LANES = 4;
const BYTES = 4;
/** Columns whose sums are carried at once. */
const BLOCK = 4 * LANES;
/** Loops over fewer numbers than this are not worth a thread. */
const WORTH_SHARING = 2 ** 15;

type Width = 'vector' | 'single';

/** An accumulator's start, its step, and the sum over its lanes. */
const REDUCTIONS: Readonly<Record<string, { start: number; join: (a: Code, b: Code) => Code }>> = {
  ReduceSum: { start: 0, join: f32x4.add },
  ReduceMean: { start: 0, join: f32x4.add },
  ReduceMax: { start: Number.NEGATIVE_INFINITY, join: f32x4.max },
  ReduceMin: { start: Number.POSITIVE_INFINITY, join: f32x4.min },
};

const FIRST_LANE = v128.const([-1, 0, 0, 0]);

/** All lanes joined, in every lane. */
function joinLanes(f: FunctionBuilder, vector: Local, join: (a: Code, b: Code) => Code): Code {
  const half = f.local('v128');
  return [
    set(half, join(get(vector), v128.shuffle(get(vector), get(vector), [2, 3, 0, 1]))),
    set(vector, join(get(half), v128.shuffle(get(half), get(half), [1, 0, 3, 2]))),
  ];
}

/** A number in all lanes, as its type is held. */
function splat(constant: Constant): Code {
  const value = Number(constant.data[0]);
  if (constant.dtype === 'float32') return f32x4.const(value);
  return i32x4.const(constant.dtype === 'bool' ? (value ? -1 : 0) : value);
}

const keyOf = (view: View): string => JSON.stringify(view);

/** How a group is walked through: the axes that remain when those that all views walk alike are merged. */
interface Walk {
  readonly sizes: readonly number[];
  readonly reduced: readonly boolean[];
  /** Bytes from one index to the next for each axis, by view. */
  readonly steps: ReadonlyMap<string, readonly number[]>;
  /** The kept axis that threads share, if it is worth it and there is one that is long enough. */
  readonly sharedAxis: number | undefined;
}

const isUniform = (view: View, around: Surroundings): boolean => around.constant(view.root)?.data.length === 1;

/** Buffers that the group's own maps make. */
const madeBy = ({ operations }: Group): ReadonlySet<Value> =>
  new Set(operations.filter(({ kind }) => kind === 'map').map(({ into }) => into.root));

/** Views that are read from memory or written to it. */
function viewsOf(group: Group, around: Surroundings): View[] {
  const made = madeBy(group);
  return group.operations.flatMap(({ inputs, into }) => [
    ...inputs.filter((view) => !made.has(view.root) && !isUniform(view, around)),
    ...(group.written.has(into.root) ? [into] : []),
  ]);
}

/** Strides that merge among kept axes and among reduced axes, but not between them. */
const apart = ({ shape, reduced }: Group): number[] =>
  rowMajor(shape).map((stride, axis) => (reduced[axis] ? 0 : stride));

function walkOf(group: Group, around: Surroundings): Walk {
  const views = viewsOf(group, around);
  const strides = [...views.map((view) => reshaped(view, group.shape)!.strides), apart(group)];
  const merged = mergedAxes(group.shape, strides);
  const isScalar = merged.shape.length === 0;
  const sizes = isScalar ? [1] : merged.shape;
  const reduced = isScalar ? [false] : merged.strides.at(-1)!.map((stride) => stride === 0);
  const steps = new Map(
    views.map((view, i) => [keyOf(view), isScalar ? [0] : merged.strides[i]!.map((stride) => stride * BYTES)]),
  );
  const { threads } = around;
  const last = sizes.length - 1;
  const isLong = (size: number, axis: number): boolean => size >= (axis === last ? threads * BLOCK : threads);
  const axis = sizes.findIndex((size, i) => !reduced[i] && isLong(size, i));
  const isWorth = threads > 1 && sizeOf(sizes) >= WORTH_SHARING && axis >= 0;
  return { sizes, reduced, steps, sharedAxis: isWorth ? axis : undefined };
}

/** The loop nest of one group, for one function. */
class Nest {
  private readonly sizes: readonly number[];
  private readonly reduced: readonly boolean[];
  private readonly pointers = new Map<string, Pointer>();
  private readonly members: readonly Operation[];
  private readonly f: FunctionBuilder;
  private readonly thread: Local;
  private readonly group: Group;
  private readonly around: Surroundings;
  private readonly walk: Walk;

  constructor(f: FunctionBuilder, thread: Local, group: Group, around: Surroundings, walk: Walk) {
    this.f = f;
    this.thread = thread;
    this.group = group;
    this.around = around;
    this.walk = walk;
    this.members = group.operations;
    this.sizes = walk.sizes;
    this.reduced = walk.reduced;
    for (const steps of walk.steps.values())
      if (!this.pointers.has(steps.join())) this.pointers.set(steps.join(), { local: f.local('i32'), steps });
  }

  private placeOf(view: View): { readonly pointer: Pointer; readonly step: number } {
    const steps = this.walk.steps.get(keyOf(view))!;
    return { pointer: this.pointers.get(steps.join())!, step: steps.at(-1)! };
  }

  private isStored({ into }: Operation): boolean {
    return this.group.written.has(into.root);
  }

  /** Pointers that move backwards begin this far on, since an address cannot be negative before its offset is added. */
  private backwards({ steps }: Pointer): number {
    return steps.reduce((sum, step, axis) => sum + Math.max(0, -step) * (this.sizes[axis]! - 1), 0);
  }

  private offset(view: View): number {
    const { pointer } = this.placeOf(view);
    return this.around.address(view.root) + view.offset * BYTES - this.backwards(pointer);
  }

  /** Reads at the nth group of four from where the pointer is. */
  private read(view: View, width: Width, block: number): Code {
    const { pointer, step } = this.placeOf(view);
    const at = this.offset(view) + block * LANES * step;
    const pointed = get(pointer.local);
    if (width === 'single') return v128.loadOne(pointed, at);
    if (step === BYTES) return v128.load(pointed, at);
    if (step === 0) return v128.loadSplat(pointed, at);
    return [1, 2, 3].reduce<Code>(
      (vector, lane) => v128.loadLane(pointed, vector, lane, at + lane * step),
      v128.loadOne(pointed, at),
    );
  }

  private write(view: View, value: Code, width: Width, block: number): Code {
    const { pointer, step } = this.placeOf(view);
    const at = this.offset(view) + block * LANES * step;
    const pointed = get(pointer.local);
    if (width === 'single') return v128.storeLane(pointed, value, 0, at);
    if (step === BYTES) return v128.store(pointed, value, at);
    const held = this.f.local('v128');
    return [set(held, value), [0, 1, 2, 3].map((lane) => v128.storeLane(pointed, get(held), lane, at + lane * step))];
  }

  /** Everything that is computed at one place; `sums` holds an accumulator for each reduction. */
  private body(width: Width, block: number, sums: ReadonlyMap<Operation, Local>): Code {
    const values = new Map<Value, Local>();
    const leaves = new Map<string, Local>();
    const code: Code[] = [];
    const stores: Code[] = [];
    const operand = (view: View): Code => {
      const constant = this.around.constant(view.root);
      if (constant?.data.length === 1) return splat(constant);
      const computed = values.get(view.root);
      if (computed) return get(computed);
      const key = keyOf(view);
      const known = leaves.get(key) ?? this.f.local('v128');
      if (!leaves.has(key)) code.push(set(known, this.read(view, width, block)));
      leaves.set(key, known);
      return get(known);
    };
    for (const operation of this.members) {
      const operands = operation.inputs.map(operand);
      if (operation.kind === 'reduce') {
        const sum = sums.get(operation)!;
        code.push(set(sum, this.accumulated(operation, get(sum), operands[0]!, width)));
        continue;
      }
      const [from, to] = [this.around.dtype(operation.inputs[0]!.root), this.around.dtype(operation.into.root)];
      const site = { f: this.f, attributes: operation.attributes, madd: this.around.madd };
      const value = this.f.local('v128');
      code.push(set(value, arithmetic(operation.op, from, to, site, operands)));
      values.set(operation.into.root, value);
      if (this.isStored(operation)) stores.push(this.write(operation.into, get(value), width, block));
    }
    return [code, stores];
  }

  /** The accumulator with a value in it; of a single number along a reduced axis only the first lane counts. */
  private accumulated({ op }: Operation, sum: Code, value: Code, width: Width): Code {
    const { start, join } = REDUCTIONS[op]!;
    const alongLast = this.reduced.at(-1)!;
    if (width === 'vector' || !alongLast) return join(sum, value);
    return join(sum, v128.select(value, f32x4.const(start), FIRST_LANE));
  }

  private get reductions(): Operation[] {
    return this.members.filter(({ kind }) => kind === 'reduce');
  }

  private finished(operation: Operation, sum: Local): Code {
    if (operation.op !== 'ReduceMean') return get(sum);
    const count = sizeOf(this.sizes.filter((_, i) => this.reduced[i]));
    return f32x4.mul(get(sum), f32x4.const(1 / count));
  }

  private starts(sums: ReadonlyMap<Operation, Local>): Code {
    return [...sums].map(([{ op }, sum]) => set(sum, f32x4.const(REDUCTIONS[op]!.start)));
  }

  private get allPointers(): Pointer[] {
    return [...this.pointers.values()];
  }

  private axes(which: (axis: number) => boolean): { axis: number; size: number }[] {
    return this.sizes.map((size, axis) => ({ axis, size })).filter(({ axis }) => which(axis));
  }

  private get last(): number {
    return this.sizes.length - 1;
  }

  /** Along the last axis: `size` numbers in pieces of `unit`, then in fours, then one by one. Pointers are moved on. */
  private alongLast(count: number | Code, unit: number, piece: (width: Width, blocks: number) => Code): Code {
    const moved = (numbers: number): Code =>
      this.allPointers.map(({ local, steps }) => advance(local, numbers * steps[this.last]!));
    const units = [unit, LANES, 1].filter((size, i, list) => list.indexOf(size) === i);
    const rounds = (size: number, i: number): number | Code => {
      const within = i === 0 ? undefined : units[i - 1]!;
      if (typeof count === 'number') return Math.floor((within ? count % within : count) / size);
      const rest = within ? i32.and(count, i32.const(within - 1)) : count;
      return i32.shrU(rest, i32.const(Math.log2(size)));
    };
    return units.map((size, i) => {
      const times = rounds(size, i);
      if (times === 0) return [];
      const width = size === 1 ? 'single' : 'vector';
      return repeat(this.f, times, [piece(width, Math.max(1, size / LANES)), moved(size)]);
    });
  }

  /** One run along the last axis without reductions over it: maps, or columns with their sums. */
  private columns(count: number | Code): Code {
    const inner = this.axes((axis) => this.reduced[axis]!);
    const unit = inner.length > 0 ? BLOCK : LANES;
    return this.alongLast(count, unit, (width, blocks) => {
      const numbers = Array.from({ length: blocks }, (_, i) => i);
      const sums = numbers.map(() => new Map(this.reductions.map((op) => [op, this.f.local('v128')] as const)));
      const bodies = numbers.map((block) => this.body(width, block, sums[block]!));
      return [
        numbers.map((block) => this.starts(sums[block]!)),
        alongAxes(this.f, inner, this.allPointers, bodies),
        numbers.map((block) =>
          [...sums[block]!].map(([op, sum]) => this.write(op.into, this.finished(op, sum), width, block)),
        ),
      ];
    });
  }

  /** One place of the kept axes, everything reduced down to one number. */
  private rows(): Code {
    const sums = new Map(this.reductions.map((op) => [op, this.f.local('v128')] as const));
    const outer = this.axes((axis) => this.reduced[axis]! && axis !== this.last);
    const size = this.sizes[this.last]!;
    const along = this.alongLast(size, LANES, (width) => this.body(width, 0, sums));
    const back = this.allPointers.map(({ local, steps }) => advance(local, -size * steps[this.last]!));
    return [
      this.starts(sums),
      alongAxes(this.f, outer, this.allPointers, [along, back]),
      [...sums].map(([op, sum]) => [
        joinLanes(this.f, sum, REDUCTIONS[op.op]!.join),
        this.write(op.into, this.finished(op, sum), 'single', 0),
      ]),
    ];
  }

  /** Sets every pointer to where this thread begins on an axis. */
  private begin(axis: number, start: Code): Code {
    return this.allPointers.map((pointer) => {
      const moved = i32.mul(start, i32.const(pointer.steps[axis]!));
      return set(pointer.local, i32.add(moved, i32.const(this.backwards(pointer))));
    });
  }

  /** The whole nest, for one thread. */
  code(): Code {
    const { sharedAxis } = this.walk;
    const threads = sharedAxis === undefined ? 1 : this.around.threads;
    const axis = sharedAxis ?? this.axes((a) => !this.reduced[a])[0]?.axis;
    const alongRows = this.reduced[this.last]!;
    const outer = this.axes((a) => !this.reduced[a] && a !== this.last && a !== axis);
    const zero = this.begin(0, i32.const(0));
    if (axis === undefined) return [zero, this.rows()];
    const part = share(this.f, this.thread, threads, this.sizes[axis]!, axis === this.last ? BLOCK : 1);
    const start = [part.code, this.begin(axis, part.start)];
    if (axis === this.last && !alongRows) {
      const count = threads === 1 ? this.sizes[axis]! : part.count;
      const run = this.columns(count);
      const back =
        typeof count === 'number'
          ? this.allPointers.map(({ local, steps }) => advance(local, -count * steps[axis]!))
          : this.allPointers.map(({ local, steps }) =>
              set(local, i32.sub(get(local), i32.mul(part.count, i32.const(steps[axis]!)))),
            );
      const work = alongAxes(this.f, outer, this.allPointers, [run, outer.length > 0 ? back : []]);
      return [start, threads === 1 ? work : when(i32.gtS(part.count, i32.const(0)), work)];
    }
    const size = this.sizes[this.last]!;
    const inner = alongRows
      ? this.rows()
      : [this.columns(size), this.allPointers.map(({ local, steps }) => advance(local, -size * steps[this.last]!))];
    const step = this.allPointers.map(({ local, steps }) => advance(local, steps[axis]!));
    const count = threads === 1 ? this.sizes[axis]! : part.count;
    return [start, repeat(this.f, count, [alongAxes(this.f, outer, this.allPointers, inner), step])];
  }
}

/** The kernel of a group of maps and reductions. */
export function nestOf(group: Group, around: Surroundings): Kernel {
  const walk = walkOf(group, around);
  return {
    shared: walk.sharedAxis !== undefined,
    code: (f, thread) => new Nest(f, thread, group, around, walk).code(),
  };
}
