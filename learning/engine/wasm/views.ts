/**
 * Views: where the elements of a value lie within another value's memory. Transposes, slices, broadcasts and most reshapes move no
 * number; they only change how a buffer is walked through.
 */
import { sizeOf } from '../../../protocol/tensors.ts';
import type { Value } from '../onnx/graph.ts';

export interface View {
  /** The value whose buffer is seen. */
  readonly root: Value;
  /** Elements before the first. */
  readonly offset: number;
  readonly shape: readonly number[];
  /** Elements from one index to the next, for each axis; 0 repeats. */
  readonly strides: readonly number[];
}

type Shape = readonly number[];

/** Strides of a dense, row-major array. */
export function rowMajor(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i]!;
  }
  return strides;
}

export const whole = (root: Value, shape: Shape): View => ({ root, offset: 0, shape, strides: rowMajor(shape) });

/** Whether its elements follow one another without gaps. */
export function isDense({ shape, strides }: View): boolean {
  const dense = rowMajor(shape);
  return shape.every((d, i) => d === 1 || strides[i] === dense[i]);
}

export const permuted = (view: View, perm: readonly number[]): View => ({
  ...view,
  shape: perm.map((p) => view.shape[p]!),
  strides: perm.map((p) => view.strides[p]!),
});

/** Part of each axis: from where, how many, how far apart. */
export const sliced = (view: View, starts: Shape, sizes: Shape, steps: Shape): View => ({
  ...view,
  offset: view.offset + starts.reduce((sum, start, i) => sum + start * view.strides[i]!, 0),
  shape: sizes,
  strides: view.strides.map((stride, i) => stride * steps[i]!),
});

/** Repeated along axes of one and along new leading axes. */
export function broadcast(view: View, shape: Shape): View {
  const missing = shape.length - view.shape.length;
  const strides = shape.map((d, i) => {
    const axis = i - missing;
    return axis < 0 || (view.shape[axis] === 1 && d !== 1) ? 0 : view.strides[axis]!;
  });
  return { ...view, shape, strides };
}

/** Neighbouring axes that can be walked as one, for all the lists of strides at once. */
export function mergedAxes(shape: Shape, all: readonly Shape[]): { shape: number[]; strides: number[][] } {
  const sizes: number[] = [];
  const strides: number[][] = all.map(() => []);
  shape.forEach((d, i) => {
    if (d === 1) return;
    const last = sizes.length - 1;
    const joins = last >= 0 && all.every((list, k) => strides[k]![last] === list[i]! * d);
    if (joins) sizes[last] = sizes[last]! * d;
    else sizes.push(d);
    all.forEach((list, k) => {
      strides[k]![joins ? last : sizes.length - 1] = list[i]!;
    });
  });
  return { shape: sizes, strides };
}

/** The same elements in the same order under another shape, where that takes no copy. */
export function reshaped(view: View, shape: Shape): View | undefined {
  if (sizeOf(shape) === 0) return undefined;
  const merged = mergedAxes(view.shape, [view.strides]);
  const sizes = [...merged.shape];
  const steps = merged.strides[0]!;
  const strides = new Array<number>(shape.length);
  let axis = sizes.length - 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    const d = shape[i]!;
    if (d === 1) {
      strides[i] = 0;
      continue;
    }
    while (axis >= 0 && sizes[axis] === 1) axis--;
    if (axis < 0 || sizes[axis]! % d !== 0) return undefined;
    strides[i] = steps[axis]!;
    steps[axis] = steps[axis]! * d;
    sizes[axis] = sizes[axis]! / d;
  }
  return { ...view, shape, strides };
}

/** The coarsest shape that both can be split into, element by element in order; nothing if they cut across each other. */
export function commonRefinement(a: Shape, b: Shape): number[] | undefined {
  const ends = (shape: Shape): number[] => {
    let product = 1;
    return [...shape].reverse().map((d) => (product *= d));
  };
  const cuts = [...new Set([1, ...ends(a), ...ends(b)])].sort((x, y) => x - y);
  const sizes = cuts.slice(1).map((cut, i) => cut / cuts[i]!);
  return sizes.every(Number.isInteger) ? sizes.reverse() : undefined;
}
