/**
 * Where every buffer lies, decided once: buffers that are not needed at the same time share memory, and a map writes over what it is
 * the last to read. An output that is carried is written over the input that it replaces, where nothing reads that afterwards.
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import type { Value } from '../onnx/graph.ts';
import type { Group } from './groups.ts';
import type { Program } from './operations.ts';
import { isDense, type View } from './views.ts';

const ALIGNMENT = 64;

export interface MemoryPlan {
  address(root: Value): number;
  /** Address of what a group works with and leaves behind. */
  scratch(group: number): number;
  /** Outputs that have to be copied over the inputs that they replace, after all else. */
  readonly copies: readonly { readonly from: Value; readonly to: Value }[];
  /** Bytes in all. */
  readonly bytes: number;
}

export interface MemoryNeeds {
  readonly program: Program;
  readonly groups: readonly Group[];
  /** Buffers that hold numbers from before the run to its end: inputs and constants. */
  readonly kept: readonly Value[];
  /** Which input each carried output replaces. */
  readonly carried: ReadonlyMap<Value, Value>;
  /** Bytes of scratch for each group. */
  readonly scratch: readonly number[];
  /** First free byte. */
  readonly from: number;
}

/** Memory from the group that first needs it to the one that last does. */
interface Buffer {
  readonly bytes: number;
  readonly first: number;
  last: number;
  at: number;
}

const bufferOf = (numbers: number, first: number, last: number): Buffer => ({
  bytes: Math.ceil((4 * numbers) / ALIGNMENT) * ALIGNMENT,
  ...{ first, last, at: 0 },
});

/** Greedy by size: each buffer takes the lowest gap among those that live at the same time. @returns the first byte after all */
function arrange(buffers: readonly Buffer[], from: number): number {
  const placed: Buffer[] = [];
  let end = from;
  for (const buffer of [...buffers].sort((a, b) => b.bytes - a.bytes)) {
    const others = placed.filter((other) => other.first <= buffer.last && buffer.first <= other.last);
    let at = from;
    for (const other of others.sort((a, b) => a.at - b.at)) {
      if (at + buffer.bytes <= other.at) break;
      at = Math.max(at, other.at + other.bytes);
    }
    buffer.at = at;
    placed.push(buffer);
    end = Math.max(end, at + buffer.bytes);
  }
  return end;
}

/** Whether the group reads of `root`, if anything, only the element that it writes at the same time. */
function readsInPlace(group: Group, root: Value, size: number): boolean {
  const aligned = (view: View): boolean => view.offset === 0 && isDense(view) && sizeOf(view.shape) === size;
  const seen = group.operations.flatMap(({ inputs }) => inputs.filter((view) => view.root === root));
  return sizeOf(group.shape) === size && seen.every(aligned);
}

/** @throws RangeError when an output has no buffer */
export function planMemory({ program, groups, kept, carried, scratch, from }: MemoryNeeds): MemoryPlan {
  const numbersOf = (root: Value): number => sizeOf(program.types.get(root)!.shape);
  const end = groups.length;
  const lastRead = new Map<Value, number>();
  groups.forEach(({ operations }, index) => {
    for (const { inputs } of operations) for (const { root } of inputs) lastRead.set(root, index);
  });
  const buffers = new Map<Value, Buffer>(kept.map((root) => [root, bufferOf(numbersOf(root), -1, end)]));
  const keptRoots = new Set(kept);
  const copies: { from: Value; to: Value }[] = [];
  const outputs = new Set(program.outputs);

  groups.forEach((group, index) => {
    const taken = new Set<Buffer>();
    const isFree = (root: Value, size: number): boolean => {
      const buffer = buffers.get(root);
      if (!buffer || taken.has(buffer) || numbersOf(root) !== size) return false;
      return (lastRead.get(root) ?? -1) <= index && readsInPlace(group, root, size);
    };
    /** What this output may be written over. */
    const replaced = (root: Value): Buffer | undefined => {
      const maker = group.operations.find(({ into }) => into.root === root)!;
      if (maker.kind !== 'map' || maker.partial) return undefined;
      const size = numbersOf(root);
      const input = carried.get(root);
      if (input !== undefined) return isFree(input, size) ? buffers.get(input) : undefined;
      if (outputs.has(root)) return undefined;
      const dying = group.operations.flatMap(({ inputs }) => inputs.map((view) => view.root));
      const other = dying.find(
        (r) => !keptRoots.has(r) && !outputs.has(r) && lastRead.get(r) === index && isFree(r, size),
      );
      return other === undefined ? undefined : buffers.get(other);
    };
    for (const root of group.written) {
      if (buffers.has(root)) continue;
      const last = outputs.has(root) ? end : (lastRead.get(root) ?? index);
      const over = replaced(root);
      if (over) taken.add(over);
      if (over) over.last = Math.max(over.last, last);
      buffers.set(root, over ?? bufferOf(numbersOf(root), index, last));
      const input = carried.get(root);
      if (input !== undefined && !over) copies.push({ from: root, to: input });
    }
  });
  const scratches = scratch.map((bytes, index) => bufferOf(bytes / 4, index, index));
  const bytes = arrange([...new Set([...buffers.values(), ...scratches])], from);
  return {
    address: (root) => {
      const buffer = buffers.get(root);
      if (!buffer) throw new RangeError(`value ${root} has no buffer`);
      return buffer.at;
    },
    scratch: (group) => scratches[group]!.at,
    copies,
    bytes,
  };
}
