/**
 * Fusion: maps and reductions that walk through the same elements become one loop. Operations are taken from last to first; each
 * joins the loop of an operation that reads it, unless something that is needed before that loop reads it too. What nobody outside
 * reads is never written to memory.
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import type { Value } from '../onnx/graph.ts';
import type { Operation, Program } from './operations.ts';
import { commonRefinement, isDense, reshaped, type View } from './views.ts';

/** Operations that are one loop, or a single operation with a kernel of its own. */
export interface Group {
  readonly operations: readonly Operation[];
  /** What a loop walks through. */
  readonly shape: readonly number[];
  /** For each axis, whether it is reduced. */
  readonly reduced: readonly boolean[];
  /** Buffers that others read, or that are outputs. */
  readonly written: ReadonlySet<Value>;
}

interface Open {
  /** Place in the order of execution: that of its last operation. */
  readonly position: number;
  readonly members: number[];
  shape: readonly number[];
  /** Reduced axes under the group's shape, once a reduction is in it. */
  target: View | undefined;
}

const isLoop = ({ kind }: Operation): boolean => kind === 'map' || kind === 'reduce';

/** Whether a view shows each element of the buffer once, in order. */
const isWhole = (view: View, producer: Operation): boolean =>
  view.offset === 0 && isDense(view) && sizeOf(view.shape) === sizeOf(producer.into.shape);

/** Which axes of this shape a reduction's target does not move along. */
const reducedAxes = (target: View | undefined, shape: readonly number[]): boolean[] => {
  const strides = target && reshaped(target, shape)?.strides;
  return shape.map((d, i) => strides !== undefined && d > 1 && strides[i] === 0);
};

const sameAxes = (a: View, b: View, shape: readonly number[]): boolean =>
  reducedAxes(a, shape).join() === reducedAxes(b, shape).join();

function readersOf(operations: readonly Operation[]): Map<Value, number[]> {
  const readers = new Map<Value, number[]>();
  operations.forEach(({ inputs }, index) => {
    for (const root of new Set(inputs.map((view) => view.root))) {
      const list = readers.get(root) ?? [];
      list.push(index);
      readers.set(root, list);
    }
  });
  return readers;
}

/** A group that nothing joins any more. */
function closed(
  { members, shape, target }: Open,
  operations: readonly Operation[],
  readers: ReadonlyMap<Value, readonly number[]>,
  outputs: ReadonlySet<Value>,
): Group {
  const inside = new Set(members);
  const isWritten = ({ into, partial, kind }: Operation): boolean =>
    partial ||
    kind === 'reduce' ||
    outputs.has(into.root) ||
    (readers.get(into.root) ?? []).some((reader) => !inside.has(reader));
  const own = [...members].sort((a, b) => a - b).map((index) => operations[index]!);
  const written = new Set(own.filter(isWritten).map(({ into }) => into.root));
  return { operations: own, shape, reduced: reducedAxes(target, shape), written };
}

/** The groups of a program in an order in which they can run. */
export function groupsOf({ operations, outputs }: Program): Group[] {
  const readers = readersOf(operations);
  const open: (Open | undefined)[] = operations.map(() => undefined);

  /** The group's shape with this operation in it, if it can be. */
  const joint = (index: number, group: Open): readonly number[] | undefined => {
    const operation = operations[index]!;
    const read = readers.get(operation.into.root) ?? [];
    for (const reader of read) {
      const other = open[reader]!;
      if (other === group) {
        const views = operations[reader]!.inputs.filter((view) => view.root === operation.into.root);
        if (operation.kind === 'reduce' || !views.every((view) => isWhole(view, operation))) return undefined;
      } else if (other.position <= group.position) return undefined;
    }
    if (sizeOf(operation.shape) !== sizeOf(group.shape)) return undefined;
    const shape = commonRefinement(group.shape, operation.shape);
    if (shape && operation.kind === 'reduce' && group.target && !sameAxes(group.target, operation.into, shape))
      return undefined;
    return shape;
  };

  const makers = new Map(operations.map((operation) => [operation.into.root, operation]));
  /** Loops that this operation may join: of a map those that read it, of a reduction those that see what it sees. */
  const candidates = (index: number): Open[] => {
    const { kind, into, inputs } = operations[index]!;
    const seen = inputs.flatMap(({ root }) => [root, ...(makers.get(root)?.inputs.map((view) => view.root) ?? [])]);
    const near = kind === 'map' ? (readers.get(into.root) ?? []) : seen.flatMap((root) => readers.get(root) ?? []);
    const groups = new Set(near.filter((i) => i !== index && isLoop(operations[i]!)).map((i) => open[i]));
    return [...groups].filter((group) => group !== undefined).sort((a, b) => a.position - b.position);
  };

  for (let index = operations.length - 1; index >= 0; index--) {
    const operation = operations[index]!;
    const target = operation.kind === 'reduce' ? operation.into : undefined;
    const alone: Open = { position: index, members: [index], shape: operation.shape, target };
    open[index] = alone;
    if (!isLoop(operation) || operation.partial) continue;
    open[index] = undefined;
    for (const group of candidates(index)) {
      const shape = joint(index, group);
      if (!shape) continue;
      group.members.push(index);
      group.shape = shape;
      group.target ??= target;
      open[index] = group;
      break;
    }
    open[index] ??= alone;
  }

  const isOutput = new Set(outputs);
  return [...new Set(open as Open[])]
    .sort((a, b) => a.position - b.position)
    .map((group) => closed(group, operations, readers, isOutput));
}
