/**
 * Writes transposes as ONNX Runtime does them fast: of as few axes as there are (neighbours that stay together are one), and
 * one axis at a time, which it copies in runs. Any other permutation it computes number by number, several times as slowly.
 * Two axes before a whole block change places as a picture with channels last enters the blocked layout: block by block in
 * registers, five to ten times as fast as runs so short.
 */
import { float32Type, type Graph, type Value } from '../onnx/graph.ts';
import { BLOCKED, type Size4 } from './blocked-layout.ts';
import { type Rewrite, rebuild, type Site } from './rebuild.ts';

interface Permutation {
  readonly shape: readonly number[];
  readonly perm: readonly number[];
}

/** The same movement of elements over as few axes as possible. */
export function coarse({ shape, perm }: Permutation): Permutation {
  const order = perm.filter((axis) => shape[axis] !== 1);
  const real = [...order].sort((a, b) => a - b);
  const ranks = order.map((axis) => real.indexOf(axis));
  const groups: number[][] = [];
  for (const axis of ranks) {
    const last = groups.at(-1);
    if (last?.at(-1) === axis - 1) last.push(axis);
    else groups.push([axis]);
  }
  const sources = [...groups].sort((a, b) => a[0]! - b[0]!);
  return {
    shape: sources.map((group) => group.reduce((size, axis) => size * shape[real[axis]!]!, 1)),
    perm: groups.map((group) => sources.indexOf(group)),
  };
}

/** All permutations of `rank` axes that take one axis to another place. */
function moves(rank: number): number[][] {
  const axes = Array.from({ length: rank }, (_, i) => i);
  return axes.flatMap((from) =>
    axes.filter((to) => to !== from).map((to) => axes.toSpliced(from, 1).toSpliced(to, 0, from)),
  );
}

/** One permutation as at most two moves of one axis each, if that can be. */
export function singleMoves(permutation: Permutation): readonly Permutation[] | undefined {
  const { shape, perm } = coarse(permutation);
  if (perm.length < 2) return [];
  const all = moves(perm.length);
  const same = (a: readonly number[]): boolean => a.every((axis, i) => axis === perm[i]);
  if (all.some(same)) return [{ shape, perm }];
  for (const first of all) {
    const second = all.find((move) => same(move.map((axis) => first[axis]!)));
    if (second)
      return [
        { shape, perm: first },
        { shape: first.map((axis) => shape[axis]!), perm: second },
      ].map(coarse);
  }
  return undefined;
}

/** [n, h, w, block] → [n, w, h, block] as a reorder of pictures of one column with channels last, if that is what is asked. */
function swapBlocks({ g }: Site, x: Value, { shape, perm }: Permutation, block: number): Value | undefined {
  const [n, rows, columns, last] = shape.length === 3 ? [1, ...shape] : shape;
  const swaps = ['1,0,2', '0,2,1,3'].includes(perm.join());
  if (!swaps || last !== block || g.typeOf(x).dtype !== 'float32') return undefined;
  const channels = columns! * block;
  const pictures = g.node('Reshape', [x, g.ints([n!, rows!, 1, channels])], float32Type([n!, rows!, 1, channels]));
  return g.node('ReorderInput', [pictures], float32Type([n!, channels, rows!, 1]), { channels_last: 1 }, BLOCKED);
}

function apply(site: Site, x: Value, permutation: Permutation, block: number): Value {
  const { g } = site;
  const { shape, perm } = permutation;
  const swapped = swapBlocks(site, x, permutation, block);
  if (swapped !== undefined) return swapped;
  const { dtype } = g.typeOf(x);
  const flat = g.node('Reshape', [x, g.ints(shape)], { dtype, shape });
  return g.node('Transpose', [flat], { dtype, shape: perm.map((axis) => shape[axis]!) }, { perm });
}

/** What a transpose takes: pictures that leave the blocked layout for one with channels last can do so at once. */
function sourceOf({ g, node, producer }: Site): { readonly x: Value; readonly perm: readonly number[] } {
  const [x] = node.inputs as [Value];
  const perm = node.attributes.perm as readonly number[];
  const reorder = producer(x);
  const leaves =
    reorder?.domain === BLOCKED && reorder.op === 'ReorderOutput' && reorder.attributes.channels_last === 0;
  if (!leaves || perm.at(-1) !== 1) return { x, perm };
  const { dtype, shape } = g.typeOf(x);
  const [n, c, h, w] = shape as Size4;
  const attributes = { ...reorder.attributes, channels_last: 1 };
  const last = g.node('ReorderOutput', [reorder.inputs[0]!], { dtype, shape: [n, h, w, c] }, attributes, BLOCKED);
  return { x: last, perm: perm.map((axis) => [0, 3, 1, 2][axis]!) };
}

/** The rewrite where ONNX Runtime has the blocked layout, on a CPU; 0: none, a GPU takes any permutation in one pass. */
export const moveSingleAxes =
  (block: number): Rewrite =>
  (graph: Graph) =>
    rebuild(graph, (site) => {
      const { g, node } = site;
      if (block === 0 || node.op !== 'Transpose') return undefined;
      const { x, perm } = sourceOf(site);
      const { shape } = g.typeOf(x);
      const steps = singleMoves({ shape, perm });
      const asItIs = !steps || (steps.length === 1 && steps[0]!.perm.length === shape.length && shape.at(-1) !== block);
      if (asItIs && x === node.inputs[0]) return undefined;
      const type = graph.types.get(node.outputs[0]!)!;
      if (asItIs) return [g.node('Transpose', [x], type, { perm })];
      const moved = steps.reduce((value, step) => apply(site, value, step, block), x);
      return [g.node('Reshape', [moved, g.ints(type.shape)], type)];
    });
