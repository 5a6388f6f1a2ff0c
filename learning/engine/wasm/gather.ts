/** Rows picked by index, along any axis; a negative index counts from the end. */
import { sizeOf } from '../../../protocol/tensors.ts';
import { type Code, copyMemory, type FunctionBuilder, get, i32, set } from './assembler.ts';
import { advance, repeat } from './loops.ts';
import type { Kernel, Workshop } from './module.ts';
import type { Operation } from './operations.ts';
import type { View } from './views.ts';

export function gather(shop: Workshop, operation: Operation): Kernel {
  const [x, indices] = operation.inputs as [View, View];
  const axis = ((operation.attributes.axis as number | undefined) ?? 0) % x.shape.length;
  const at = axis < 0 ? axis + x.shape.length : axis;
  const size = x.shape[at]!;
  const outer = sizeOf(x.shape.slice(0, at));
  const row = 4 * sizeOf(x.shape.slice(at + 1));
  const count = sizeOf(indices.shape);
  const code = (f: FunctionBuilder): Code => {
    const [from, index, to, which] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
    const before = i32.ltS(get(which), i32.const(0));
    const pick = [
      set(which, i32.load(get(index))),
      set(which, i32.select(i32.add(get(which), i32.const(size)), get(which), before)),
      copyMemory(get(to), i32.add(get(from), i32.mul(get(which), i32.const(row))), i32.const(row)),
      ...[advance(index, 4), advance(to, row)],
    ];
    return [
      set(from, i32.const(shop.address(x.root) + x.offset * 4)),
      set(to, i32.const(shop.address(operation.into.root))),
      repeat(f, outer, [
        set(index, i32.const(shop.address(indices.root) + indices.offset * 4)),
        repeat(f, count, pick),
        advance(from, size * row),
      ]),
    ];
  };
  return { shared: false, code };
}
