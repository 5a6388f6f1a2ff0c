/**
 * Pictures whose examples and channels change places on their way from one blocked layout to the other, as the gradient of a
 * filter wants them: instead of out, across and in again, examples first become the innermost block and then channels leave it,
 * both in registers, and only whole pictures are carried across.
 *
 * [n/b, b, c/b, h·w, b] → [n/b, c/b, h·w, b, b] → [n/b, c, h·w, b] → [c, n/b, h·w, b]
 */
import { float32Type, type Graph, type Value } from '../onnx/graph.ts';
import { BLOCKED, isBlocked, type Size4 } from './blocked-layout.ts';
import { type Rewrite, rebuild, type Site } from './rebuild.ts';

/** The blocked pictures that leave their layout, change examples for channels, and enter again as this value. */
function exchanged({ node, producer }: Site): Value | undefined {
  if (node.domain !== BLOCKED || node.op !== 'ReorderInput' || node.attributes.channels_last === 1) return undefined;
  const swap = producer(node.inputs[0]!);
  if (swap?.op !== 'Transpose' || (swap.attributes.perm as readonly number[]).join() !== '1,0,2,3') return undefined;
  const leave = producer(swap.inputs[0]!);
  const leaves = leave?.domain === BLOCKED && leave.op === 'ReorderOutput' && leave.attributes.channels_last === 0;
  return leaves ? leave.inputs[0] : undefined;
}

/** The rewrite for a block of channels; 0: nothing is blocked. */
export const exchangeBlocks =
  (block: number): Rewrite =>
  (graph: Graph) =>
    rebuild(graph, (site) => {
      const { g } = site;
      const x = block === 0 ? undefined : exchanged(site);
      if (x === undefined) return undefined;
      const [n, c, h, w] = g.typeOf(x).shape as Size4;
      if (!isBlocked(n, block) || !isBlocked(c, block)) return undefined;
      const node = (
        op: string,
        from: Value,
        shape: readonly number[],
        attributes = {},
        domain: '' | typeof BLOCKED = '',
      ) => g.node(op, [from], float32Type(shape), attributes, domain);
      const reshape = (from: Value, shape: readonly number[]): Value =>
        g.node('Reshape', [from, g.ints(shape)], float32Type(shape));
      const [batches, groups, positions] = [n / block, c / block, h * w];
      const rows = reshape(x, [batches, block, c * positions, 1]);
      const inner = node('ReorderInput', rows, [batches, block, c * positions, 1], {}, BLOCKED);
      const pixels = reshape(inner, [batches * groups, positions, 1, block * block]);
      const last = { channels_last: 1 };
      const planes = node('ReorderInput', pixels, [batches * groups, block * block, positions, 1], last, BLOCKED);
      const whole = reshape(planes, [batches, c, positions * block]);
      const across = node('Transpose', whole, [c, batches, positions * block], { perm: [1, 0, 2] });
      return [reshape(across, [c, n, h, w])];
    });
