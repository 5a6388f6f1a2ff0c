/**
 * Where the elements of a group's views lie: a pointer for each list of strides, moved along by the loops, and a fixed distance from it
 * for each view. Four numbers are read or written at once, or one.
 */
import { type Code, type FunctionBuilder, get, i32, set, v128 } from './assembler.ts';
import { advance, type Pointer } from './loops.ts';
import type { Surroundings } from './surroundings.ts';
import type { View } from './views.ts';
import { BYTES, keyOf, LANES, type Walk } from './walk.ts';

export type Width = 'vector' | 'single';

/** Pointers that move backwards begin this far on: no address is ever negative. */
const backwards = ({ steps }: Pointer, sizes: readonly number[]): number =>
  steps.reduce((sum, step, axis) => sum + Math.max(0, -step) * (sizes[axis]! - 1), 0);

export class Places {
  readonly pointers: readonly Pointer[];
  private readonly byStrides = new Map<string, Pointer>();
  private readonly f: FunctionBuilder;
  private readonly walk: Walk;
  private readonly around: Surroundings;

  constructor(f: FunctionBuilder, walk: Walk, around: Surroundings) {
    this.f = f;
    this.walk = walk;
    this.around = around;
    for (const steps of walk.steps.values())
      if (!this.byStrides.has(steps.join())) this.byStrides.set(steps.join(), { local: f.local('i32'), steps });
    this.pointers = [...this.byStrides.values()];
  }

  /** Sets every pointer to where `start` is on an axis, and the beginning of all others. */
  begin(axis: number, start: Code): Code {
    return this.pointers.map((pointer) => {
      const moved = i32.mul(start, i32.const(pointer.steps[axis]!));
      return set(pointer.local, i32.add(moved, i32.const(backwards(pointer, this.walk.sizes))));
    });
  }

  /** Moves every pointer along an axis. */
  move(axis: number, indices: number): Code {
    return this.pointers.map(({ local, steps }) => advance(local, indices * steps[axis]!));
  }

  /** Moves every pointer back by a number of indices that is known only at run time. */
  moveBack(axis: number, indices: Code): Code {
    return this.pointers.map(({ local, steps }) =>
      set(local, i32.sub(get(local), i32.mul(indices, i32.const(steps[axis]!)))),
    );
  }

  /** Bytes from one number of a view to the next along the last axis. */
  private stepOf(view: View): number {
    return this.walk.steps.get(keyOf(view))!.at(-1)!;
  }

  /** The nth number from where the pointer is, as an address and a distance, which an instruction takes only if it is not negative. */
  private at(view: View, n: number): readonly [Code, number] {
    const pointer = this.byStrides.get(this.walk.steps.get(keyOf(view))!.join())!;
    const base = this.around.address(view.root) + view.offset * BYTES - backwards(pointer, this.walk.sizes);
    const moved = n * this.stepOf(view);
    const pointed = get(pointer.local);
    return moved < 0 ? [i32.add(pointed, i32.const(moved)), base] : [pointed, base + moved];
  }

  /** Reads at the nth group of four from where the pointer is. */
  read(view: View, width: Width, block: number): Code {
    const first = block * LANES;
    const step = this.stepOf(view);
    if (width === 'single') return v128.loadOne(...this.at(view, first));
    if (step === BYTES) return v128.load(...this.at(view, first));
    if (step === 0) return v128.loadSplat(...this.at(view, first));
    return [1, 2, 3].reduce<Code>(
      (vector, lane) => {
        const [address, distance] = this.at(view, first + lane);
        return v128.loadLane(address, vector, lane, distance);
      },
      v128.loadOne(...this.at(view, first)),
    );
  }

  write(view: View, value: Code, width: Width, block: number): Code {
    const first = block * LANES;
    const lane = (vector: Code, n: number): Code => {
      const [address, distance] = this.at(view, first + n);
      return v128.storeLane(address, vector, n, distance);
    };
    if (width === 'single') return lane(value, 0);
    if (this.stepOf(view) === BYTES) {
      const [address, distance] = this.at(view, first);
      return v128.store(address, value, distance);
    }
    const held = this.f.local('v128');
    return [set(held, value), [0, 1, 2, 3].map((n) => lane(get(held), n))];
  }
}
