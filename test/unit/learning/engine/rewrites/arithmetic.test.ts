/** Rewrites that do with less arithmetic, or with operators that ONNX Runtime does faster: the same numbers from fewer passes. */
import { describe, expect, it } from 'vitest';
import { float32Type as float, type GraphBuilder, type Value } from '../../../../../learning/engine/onnx/graph.ts';
import { removeDeadNodes } from '../../../../../learning/engine/rewrites/dead-nodes.ts';
import { gatherElements } from '../../../../../learning/engine/rewrites/gather-elements.ts';
import { joinPads } from '../../../../../learning/engine/rewrites/joined-pads.ts';
import { moveScalarFactors } from '../../../../../learning/engine/rewrites/scalar-factors.ts';
import { scaleAddends } from '../../../../../learning/engine/rewrites/scaled-addends.ts';
import { dropSymmetricTransposes } from '../../../../../learning/engine/rewrites/symmetric.ts';
import { expectSameResults, graphOf, operators } from './run-graph.ts';

describe('sums of padded tensors', () => {
  const pad = (g: GraphBuilder, x: Value, pads: readonly number[], shape: readonly number[]): Value =>
    g.node('Pad', [x, g.ints(pads), g.float(0)], float(shape));

  it('are concatenated where each has the zeros of the other, in either order and beside a third', async () => {
    const graph = graphOf({ x: [2, 3], y: [4, 3], z: [6, 3] }, (g, [x, y, z]) => {
      const [top, bottom] = [pad(g, x!, [0, 0, 4, 0], [6, 3]), pad(g, y!, [2, 0, 0, 0], [6, 3])];
      const direct = g.node('Add', [bottom, top], float([6, 3]));
      const taped = g.node('Add', [g.node('Add', [z!, top], float([6, 3])), bottom], float([6, 3]));
      return g.node('Mul', [direct, taped], float([6, 3]));
    });
    const after = removeDeadNodes(joinPads(graph));
    expect(operators(after)).toEqual({ Concat: 2, Add: 1, Mul: 1 });
    await expectSameResults(graph, after);
  });

  it('stay sums where the tensors overlap, or leave a gap', () => {
    for (const second of [
      [1, 0, 0, 0],
      [3, 0, 0, 0],
    ]) {
      const graph = graphOf({ x: [2, 3], y: [5 - second[0]!, 3] }, (g, [x, y]) =>
        g.node('Add', [pad(g, x!, [0, 0, 3, 0], [5, 3]), pad(g, y!, second, [5, 3])], float([5, 3])),
      );
      expect(operators(joinPads(graph))).toEqual({ Pad: 2, Add: 1 });
    }
  });
});

describe('constant factors', () => {
  it('become one, and go to the factor of the rows', async () => {
    const graph = graphOf({ x: [4, 3], rows: [4, 1] }, (g, [x, rows]) => {
      const twice = g.node('Add', [x!, x!], float([4, 3]));
      const scaled = g.node('Div', [g.node('Mul', [twice, g.float(3)], float([4, 3])), g.float(4)], float([4, 3]));
      return g.node('Mul', [rows!, scaled], float([4, 3]));
    });
    const once = removeDeadNodes(moveScalarFactors(graph));
    const [small, large] = once.nodes.slice(-2).map(({ outputs }) => once.types.get(outputs[0]!)!.shape);
    expect([small, large]).toEqual([
      [4, 1],
      [4, 3],
    ]);
    expect(operators(once)).toEqual({ Mul: 2 });
    await expectSameResults(graph, once);
  });

  it('stay where both operands are of one size', () => {
    const graph = graphOf({ x: [4, 3], y: [4, 3] }, (g, [x, y]) =>
      g.node('Mul', [g.node('Mul', [x!, g.float(3)], float([4, 3])), y!], float([4, 3])),
    );
    expect(moveScalarFactors(graph)).toEqual(graph);
  });
});

describe('scaled addends of products', () => {
  it('are scaled by the product, whichever operand is transposed', async () => {
    for (const [a, b] of [
      [
        [5, 4],
        [5, 3],
      ],
      [
        [4, 5],
        [3, 5],
      ],
    ] as const) {
      const graph = graphOf({ u: [4, 3], a, b }, (g, [u, x, y]) => {
        const turned = (value: Value, shape: readonly number[]): Value =>
          g.typeOf(value).shape.join() === shape.join()
            ? value
            : g.node('Transpose', [value], float(shape), { perm: [1, 0] });
        const product = g.node('MatMul', [turned(x!, [4, 5]), turned(y!, [5, 3])], float([4, 3]));
        return g.node('Add', [g.node('Mul', [u!, g.float(0.9)], float([4, 3])), product], float([4, 3]));
      });
      const after = removeDeadNodes(scaleAddends(graph));
      expect(operators(after)).toEqual({ Gemm: 1 });
      await expectSameResults(graph, after);
    }
  });

  it('stay where the factor is not known, or the addend broadcasts', () => {
    const graph = graphOf({ u: [4, 3], v: [3], s: [], a: [4, 5], b: [5, 3] }, (g, [u, v, s, a, b]) => {
      const product = g.node('MatMul', [a!, b!], float([4, 3]));
      const fed = g.node('Add', [g.node('Mul', [u!, s!], float([4, 3])), product], float([4, 3]));
      const wide = g.node('Add', [g.node('Mul', [v!, g.float(2)], float([3])), product], float([4, 3]));
      return g.node('Sub', [fed, wide], float([4, 3]));
    });
    expect(scaleAddends(graph)).toEqual(graph);
  });
});

describe('symmetric matrices', () => {
  const swap = (g: GraphBuilder, x: Value): Value => {
    const [rows, columns] = g.typeOf(x).shape;
    return g.node('Transpose', [x], float([columns!, rows!]), { perm: [1, 0] });
  };

  it('are not transposed, nor what is computed from them element by element', async () => {
    const graph = graphOf({ x: [5, 3] }, (g, [x]) => {
      const square = g.node('MatMul', [swap(g, x!), x!], float([3, 3]));
      const shrunk = g.node('Sub', [g.node('Div', [square, g.float(5)], float([3, 3])), square], float([3, 3]));
      return g.node('Add', [shrunk, swap(g, shrunk)], float([3, 3]));
    });
    const after = removeDeadNodes(dropSymmetricTransposes(graph));
    expect(operators(after).Transpose).toBe(1);
    await expectSameResults(graph, after);
  });

  it('are told from others', () => {
    const graph = graphOf({ x: [5, 3], y: [5, 3], v: [3] }, (g, [x, y, v]) => {
      const mixed = swap(g, g.node('MatMul', [swap(g, x!), y!], float([3, 3])));
      const square = g.node('MatMul', [swap(g, x!), x!], float([3, 3]));
      const columns = swap(g, g.node('Mul', [square, v!], float([3, 3])));
      return g.node('Add', [mixed, columns], float([3, 3]));
    });
    expect(dropSymmetricTransposes(graph)).toEqual(graph);
  });
});

describe('gathered numbers', () => {
  it('are gathered as elements, rows as before', async () => {
    const graph = graphOf({ x: [7, 1], y: [7, 2] }, (g, [x, y]) => {
      const places = g.constant({ dtype: 'int32', shape: [2, 3], data: Int32Array.of(6, 0, 3, 3, 5, 1) });
      const numbers = g.node('Gather', [x!, places], float([2, 3, 1]), { axis: 0 });
      const rows = g.node('Gather', [y!, places], float([2, 3, 2]), { axis: 0 });
      return g.node('Add', [numbers, rows], float([2, 3, 2]));
    });
    const after = gatherElements(graph);
    expect(operators(after)).toMatchObject({ GatherElements: 1, Gather: 1 });
    await expectSameResults(graph, after);
  });
});
