/**
 * A group of maps and reductions as one loop nest. Axes that all views walk alike are merged; the last axis is taken four numbers at
 * a time. A reduction adds up in registers: along the last axis lane by lane, or, where the last axis is kept, for sixteen columns
 * at once.
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import type { Constant, Value } from '../onnx/graph.ts';
import { arithmetic } from './arithmetic.ts';
import { type Code, type FunctionBuilder, f32x4, get, i32, i32x4, type Local, set, when } from './assembler.ts';
import type { Group } from './groups.ts';
import { alongAxes, repeat, share } from './loops.ts';
import type { Kernel } from './module.ts';
import type { Operation } from './operations.ts';
import { Places, type Width } from './places.ts';
import { finished, joined, joinedFirst, joinLanes, startOf } from './reductions.ts';
import type { Surroundings } from './surroundings.ts';
import type { View } from './views.ts';
import { BLOCK, isUniform, keyOf, LANES, type Walk, walkOf } from './walk.ts';

/** A number in all lanes, as its type is held. */
function splat(constant: Constant): Code {
  const value = Number(constant.data[0]);
  if (constant.dtype === 'float32') return f32x4.const(value);
  return i32x4.const(constant.dtype === 'bool' ? (value ? -1 : 0) : value);
}

/** The accumulator of each reduction. */
type Sums = ReadonlyMap<Operation, Local>;

/** The loop nest of one group, for one function. */
class Nest {
  private readonly f: FunctionBuilder;
  private readonly thread: Local;
  private readonly group: Group;
  private readonly around: Surroundings;
  private readonly walk: Walk;
  private readonly places: Places;
  private readonly reductions: readonly Operation[];
  private readonly last: number;

  constructor(f: FunctionBuilder, thread: Local, group: Group, around: Surroundings, walk: Walk) {
    this.f = f;
    this.thread = thread;
    this.group = group;
    this.around = around;
    this.walk = walk;
    this.places = new Places(f, walk, around);
    this.reductions = group.operations.filter(({ kind }) => kind === 'reduce');
    this.last = walk.sizes.length - 1;
  }

  /** Everything that is computed at one place; `sums` holds an accumulator for each reduction. */
  private body(width: Width, block: number, sums: Sums): Code {
    const values = new Map<Value, Local>();
    const leaves = new Map<string, Local>();
    const code: Code[] = [];
    const stores: Code[] = [];
    const operand = (view: View): Code => {
      if (isUniform(view, this.around)) return splat(this.around.constant(view.root)!);
      const computed = values.get(view.root);
      if (computed) return get(computed);
      const key = keyOf(view);
      const known = leaves.get(key) ?? this.f.local('v128');
      if (!leaves.has(key)) code.push(set(known, this.places.read(view, width, block)));
      leaves.set(key, known);
      return get(known);
    };
    for (const operation of this.group.operations) {
      const operands = operation.inputs.map(operand);
      if (operation.kind === 'reduce') {
        const sum = sums.get(operation)!;
        code.push(set(sum, this.accumulated(operation, get(sum), operands[0]!, width)));
        continue;
      }
      const value = this.f.local('v128');
      code.push(set(value, this.computed(operation, operands)));
      values.set(operation.into.root, value);
      if (this.group.written.has(operation.into.root))
        stores.push(this.places.write(operation.into, get(value), width, block));
    }
    return [code, stores];
  }

  private computed({ op, attributes, inputs, into }: Operation, operands: Code[]): Code {
    const site = { f: this.f, attributes, madd: this.around.madd };
    return arithmetic(op, this.around.dtype(inputs[0]!.root), this.around.dtype(into.root), site, operands);
  }

  /** The accumulator with a value in it; of a single number along a reduced axis only the first lane counts. */
  private accumulated({ op }: Operation, sum: Code, value: Code, width: Width): Code {
    const alongLast = this.walk.reduced[this.last]!;
    return width === 'single' && alongLast ? joinedFirst(op, sum, value) : joined(op, sum, value);
  }

  private newSums(): Sums {
    return new Map(this.reductions.map((operation) => [operation, this.f.local('v128')] as const));
  }

  private starts(sums: Sums): Code {
    return [...sums].map(([{ op }, sum]) => set(sum, startOf(op)));
  }

  private stored({ op, into }: Operation, sum: Local, width: Width, block: number): Code {
    const count = sizeOf(this.walk.sizes.filter((_, i) => this.walk.reduced[i]));
    return this.places.write(into, finished(op, sum, count), width, block);
  }

  private axes(which: (axis: number) => boolean): { axis: number; size: number }[] {
    return this.walk.sizes.map((size, axis) => ({ axis, size })).filter(({ axis }) => which(axis));
  }

  private along(axes: readonly { axis: number; size: number }[], body: Code): Code {
    return alongAxes(this.f, axes, this.places.pointers, body);
  }

  /** Along the last axis: `count` numbers in pieces of `unit`, then in fours, then one by one. Pointers are moved on. */
  private alongLast(count: number | Code, unit: number, piece: (width: Width, blocks: number) => Code): Code {
    const units = [...new Set([unit, LANES, 1])];
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
      return repeat(this.f, times, [piece(width, Math.max(1, size / LANES)), this.places.move(this.last, size)]);
    });
  }

  /** One run along the last axis without reductions over it: maps, or columns with their sums. */
  private columns(count: number | Code): Code {
    const inner = this.axes((axis) => this.walk.reduced[axis]!);
    const unit = inner.length > 0 ? BLOCK : LANES;
    return this.alongLast(count, unit, (width, blocks) => {
      const numbers = Array.from({ length: blocks }, (_, i) => i);
      const sums = numbers.map(() => this.newSums());
      const bodies = numbers.map((block) => this.body(width, block, sums[block]!));
      return [
        sums.map((each) => this.starts(each)),
        this.along(inner, bodies),
        sums.map((each, block) => [...each].map(([operation, sum]) => this.stored(operation, sum, width, block))),
      ];
    });
  }

  /** One place of the kept axes, everything reduced down to one number. */
  private rows(): Code {
    const sums = this.newSums();
    const outer = this.axes((axis) => this.walk.reduced[axis]! && axis !== this.last);
    const size = this.walk.sizes[this.last]!;
    const run = this.alongLast(size, LANES, (width) => this.body(width, 0, sums));
    return [
      this.starts(sums),
      this.along(outer, [run, this.places.move(this.last, -size)]),
      [...sums].map(([operation, sum]) => [
        joinLanes(this.f, operation.op, sum),
        this.stored(operation, sum, 'single', 0),
      ]),
    ];
  }

  /** The whole nest, for one thread. */
  code(): Code {
    const { sizes, reduced, sharedAxis } = this.walk;
    const alongRows = reduced[this.last]!;
    const axis = sharedAxis ?? this.axes((a) => !reduced[a])[0]?.axis;
    if (axis === undefined) return [this.places.begin(0, i32.const(0)), this.rows()];
    const outer = this.axes((a) => !reduced[a] && a !== this.last && a !== axis);
    if (axis === this.last && !alongRows) return this.sharedColumns(axis, outer);
    const size = sizes[this.last]!;
    const inner = alongRows ? this.rows() : [this.columns(size), this.places.move(this.last, -size)];
    const part = this.part(axis, 1);
    const step = this.places.move(axis, 1);
    return [part.begin, repeat(this.f, part.count, [this.along(outer, inner), step])];
  }

  /** Threads take parts of the last axis, all of the others. */
  private sharedColumns(axis: number, outer: readonly { axis: number; size: number }[]): Code {
    const part = this.part(axis, BLOCK);
    const { count } = part;
    const run = this.columns(count);
    if (outer.length === 0) return [part.begin, part.when(run)];
    const back = typeof count === 'number' ? this.places.move(axis, -count) : this.places.moveBack(axis, count);
    return [part.begin, part.when(this.along(outer, [run, back]))];
  }

  /** This thread's part of an axis, in pieces of `unit`: all of it, where it is not shared. */
  private part(axis: number, unit: number) {
    const size = this.walk.sizes[axis]!;
    const threads = this.walk.sharedAxis === undefined ? 1 : this.around.threads;
    if (threads === 1)
      return { begin: this.places.begin(axis, i32.const(0)), count: size, when: (code: Code): Code => code };
    const { code, start, count } = share(this.f, this.thread, threads, size, unit);
    const some = i32.gtS(count, i32.const(0));
    return {
      begin: [code, this.places.begin(axis, start)],
      count,
      when: (work: Code): Code => when(some, work),
    };
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
