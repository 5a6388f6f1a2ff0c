/** How a group of maps and reductions is walked through: which axes remain, how far apart its elements lie, and what threads share. */
import { sizeOf } from '../../../protocol/tensors.ts';
import type { Value } from '../onnx/graph.ts';
import type { Group } from './groups.ts';
import type { Surroundings } from './surroundings.ts';
import { mergedAxes, reshaped, rowMajor, type View } from './views.ts';

/** Numbers in a vector, and bytes of a number. */
export const LANES = 4;
export const BYTES = 4;
/** Columns whose sums are carried at once. */
export const BLOCK = 4 * LANES;
/** Loops over fewer numbers than this are not worth a thread. */
const WORTH_SHARING = 2 ** 15;

export const keyOf = (view: View): string => JSON.stringify(view);

/** How a group is walked through: the axes that remain when those that all views walk alike are merged. */
export interface Walk {
  readonly sizes: readonly number[];
  readonly reduced: readonly boolean[];
  /** Bytes from one index to the next for each axis, by view. */
  readonly steps: ReadonlyMap<string, readonly number[]>;
  /** The kept axis that threads share, if it is worth it and there is one that is long enough. */
  readonly sharedAxis: number | undefined;
}

export const isUniform = (view: View, around: Surroundings): boolean => around.constant(view.root)?.data.length === 1;

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

export function walkOf(group: Group, around: Surroundings): Walk {
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
