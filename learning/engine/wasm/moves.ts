/** Operators that only move elements: slices and repetitions are views, what is put together from parts is written part by part. */
import { ABSENT, type Node, type Value } from '../onnx/graph.ts';
import { Uncovered } from './operations.ts';
import type { Resolver } from './resolver.ts';
import { broadcast, sliced, type View } from './views.ts';

const ones = (shape: readonly number[]): number[] => shape.map(() => 1);

export function slice(r: Resolver, node: Node): View {
  const [data, starts, , axes, steps] = node.inputs as [Value, Value, Value, Value?, Value?];
  const from = r.view(data);
  const begin = r.ints(starts)!;
  const along = r.ints(axes) ?? begin.map((_, i) => i);
  const by = r.ints(steps) ?? ones(begin);
  const first = from.shape.map(() => 0);
  const step = ones(from.shape);
  along.forEach((given, i) => {
    const axis = given < 0 ? given + from.shape.length : given;
    const size = from.shape[axis]!;
    const at = begin[i]! < 0 ? begin[i]! + size : begin[i]!;
    first[axis] = Math.max(0, Math.min(at, by[i]! < 0 ? size - 1 : size));
    step[axis] = by[i]!;
  });
  return sliced(from, first, r.shapeOf(node.outputs[0]!), step);
}

export function concat(r: Resolver, node: Node): void {
  const into = r.view(node.outputs[0]!);
  const rank = into.shape.length;
  const axis = ((node.attributes.axis as number) + rank) % rank;
  let at = 0;
  for (const value of node.inputs) {
    const part = r.view(value);
    const starts = into.shape.map((_, i) => (i === axis ? at : 0));
    r.write(part, sliced(into, starts, part.shape, ones(into.shape)));
    at += part.shape[axis]!;
  }
}

export function pad(r: Resolver, node: Node): void {
  const [x, pads, value, axes] = node.inputs as [Value, Value, Value?, Value?];
  const into = r.view(node.outputs[0]!);
  const around = r.ints(pads)!;
  const isConstant = (node.attributes.mode ?? 'constant') === 'constant';
  if (!isConstant || axes !== undefined || around.some((p) => p < 0))
    throw new Uncovered('Pad other than with a constant');
  const from = r.view(x);
  r.write(value === undefined || value === ABSENT ? r.zero() : r.view(value), into);
  r.write(from, sliced(into, around.slice(0, into.shape.length), from.shape, ones(into.shape)));
}

export function tile(r: Resolver, node: Node): View {
  const [x, repeats] = node.inputs as [Value, Value];
  const from = r.view(x);
  const times = r.ints(repeats)!;
  const split = from.shape.flatMap((d) => [1, d]);
  const wide = from.shape.flatMap((d, i) => [times[i]!, d]);
  return r.reshape(broadcast(r.reshape(from, split), wide), r.shapeOf(node.outputs[0]!));
}
