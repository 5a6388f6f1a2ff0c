/** Transposes in the form that ONNX Runtime does fast, and no more changes of layout than needed: fewer passes, the same numbers. */
import { describe, expect, it } from 'vitest';
import { blockOfChannels } from '../../../../../learning/engine/compiled-block.ts';
import {
  float32Type as float,
  type Graph,
  type GraphBuilder,
  type Value,
} from '../../../../../learning/engine/onnx/graph.ts';
import { blockedLayout } from '../../../../../learning/engine/rewrites/blocked-layout.ts';
import { shareCommonSubexpressions } from '../../../../../learning/engine/rewrites/common-subexpressions.ts';
import { removeDeadNodes } from '../../../../../learning/engine/rewrites/dead-nodes.ts';
import { exchangeBlocks } from '../../../../../learning/engine/rewrites/exchange-blocks.ts';
import { shareLayouts } from '../../../../../learning/engine/rewrites/share-layouts.ts';
import { coarse, moveSingleAxes, singleMoves } from '../../../../../learning/engine/rewrites/single-axis-transposes.ts';
import { expectSameResults, graphOf, operators } from './run-graph.ts';

const block = await blockOfChannels();

const transpose = (g: GraphBuilder, x: Value, perm: readonly number[]): Value => {
  const { shape } = g.typeOf(x);
  return g.node('Transpose', [x], float(perm.map((p) => shape[p]!)), { perm });
};

const permsOf = (graph: Graph): unknown[] =>
  graph.nodes.filter(({ op }) => op === 'Transpose').map(({ attributes }) => attributes.perm);

describe('transposes of single axes', () => {
  it('takes neighbours that stay together as one axis, and axes of one as none', () => {
    expect(coarse({ shape: [4, 1, 5, 3, 2], perm: [3, 4, 1, 0, 2] })).toEqual({ shape: [20, 6], perm: [1, 0] });
    expect(coarse({ shape: [4, 5, 3], perm: [2, 1, 0] })).toEqual({ shape: [4, 5, 3], perm: [2, 1, 0] });
  });

  it('makes two moves of what is not one, and leaves what two cannot do', () => {
    expect(singleMoves({ shape: [4, 5, 3], perm: [0, 2, 1] })).toHaveLength(1);
    expect(singleMoves({ shape: [4, 5, 3], perm: [2, 1, 0] })).toHaveLength(2);
    expect(singleMoves({ shape: [2, 3, 4, 5, 6], perm: [4, 3, 2, 1, 0] })).toBeUndefined();
  });

  for (const perm of [
    [2, 3, 0, 1],
    [3, 2, 0, 1],
    [1, 0, 2, 3],
    [3, 2, 1, 0],
    [3, 1, 0, 2],
  ]) {
    it(`[${perm}] moves the same numbers`, async () => {
      const graph = graphOf({ x: [3, 4, 2, 5] }, (g, [x]) => transpose(g, x!, perm));
      await expectSameResults(graph, moveSingleAxes(8)(graph));
    });
  }

  it.skipIf(block === 0)('exchanges two axes before a block as a reorder, also batch by batch', async () => {
    const swaps = [
      { shape: [5, 3, block], perm: [1, 0, 2] },
      { shape: [2, 5, 3, block], perm: [0, 2, 1, 3] },
    ];
    for (const { shape, perm } of swaps) {
      const graph = graphOf({ x: shape }, (g, [x]) => transpose(g, x!, perm));
      const after = moveSingleAxes(block)(graph);
      expect(operators(after)).toMatchObject({ ReorderInput: 1 });
      expect(permsOf(after)).toEqual([]);
      await expectSameResults(graph, after);
    }
  });

  it('changes nothing without the blocked layout', () => {
    const graph = graphOf({ x: [3, 4, 2, 5] }, (g, [x]) => transpose(g, x!, [2, 3, 0, 1]));
    expect(permsOf(moveSingleAxes(0)(graph))).toEqual([[2, 3, 0, 1]]);
  });

  it.skipIf(block === 0)('leaves the blocked layout with channels last, where that is wanted', async () => {
    const shape = [3, 2 * block, 2, 5] as const;
    for (const perm of [
      [2, 3, 0, 1],
      [0, 2, 3, 1],
      [3, 0, 2, 1],
    ]) {
      const graph = graphOf({ x: shape }, (g, [x]) => {
        const l = blockedLayout(g, block);
        return transpose(g, l.fromBlocked(l.toBlocked(x!)), perm);
      });
      const after = removeDeadNodes(moveSingleAxes(block)(graph));
      const reorders = after.nodes.filter(({ op }) => op === 'ReorderOutput');
      expect(reorders.map(({ attributes }) => attributes.channels_last)).toEqual([1]);
      await expectSameResults(graph, after);
    }
  });
});

describe.skipIf(block === 0)('examples exchanged for channels between blocked layouts', () => {
  const exchange = (n: number): Graph =>
    graphOf({ x: [n, 3 * block, 2, 5] }, (g, [x]) => {
      const l = blockedLayout(g, block);
      const swapped = transpose(g, l.fromBlocked(l.toBlocked(x!)), [1, 0, 2, 3]);
      return l.fromBlocked(l.toBlocked(swapped));
    });

  it('never leave the layout', async () => {
    const graph = exchange(2 * block);
    const after = removeDeadNodes(exchangeBlocks(block)(graph));
    expect(operators(graph)).toMatchObject({ ReorderOutput: 2, ReorderInput: 2 });
    expect(operators(after)).toMatchObject({ ReorderOutput: 1, ReorderInput: 3, Transpose: 1 });
    await expectSameResults(graph, after);
  });

  it('stay as they are where examples do not come in blocks, or there is no such layout', () => {
    for (const [graph, size] of [
      [exchange(block + 1), block],
      [exchange(block), 0],
    ] as const)
      expect(exchangeBlocks(size)(graph)).toEqual(graph);
  });
});

describe('shared changes of layout', () => {
  const beside = (other: readonly number[]): Graph =>
    graphOf({ x: [3, 4] }, (g, [x]) => {
      const square = g.node('Mul', [x!, x!], float([3, 4]));
      const sides = [
        transpose(g, x!, [1, 0]),
        transpose(g, square, [1, 0]),
        transpose(g, g.node('Neg', [square], float([3, 4])), other),
      ];
      return g.node('Concat', sides, float([12, 3]), { axis: 0 });
    });

  it('squares what is transposed anyhow, and transposes once', async () => {
    const graph = beside([1, 0]);
    const once = shareCommonSubexpressions(shareLayouts(graph));
    const after = removeDeadNodes(shareCommonSubexpressions(shareLayouts(once)));
    expect(operators(graph).Transpose).toBe(3);
    expect(operators(after).Transpose).toBe(1);
    await expectSameResults(graph, after);
  });

  it('leaves a transpose that nothing else needs', () => {
    const graph = graphOf({ x: [3, 4] }, (g, [x]) => transpose(g, g.node('Mul', [x!, x!], float([3, 4])), [1, 0]));
    expect(shareLayouts(graph).nodes.map(({ op }) => op)).toEqual(['Mul', 'Transpose']);
  });
});
