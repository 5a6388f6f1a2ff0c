/** Maps, reductions and moves of elements give ONNX Runtime's numbers, on one thread and, to the bit, on several. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32Type, type Graph, type GraphBuilder, type Value } from '../../../../../learning/engine/onnx/graph.ts';
import type { Team } from '../../../../../learning/engine/wasm/team.ts';
import { sizeOf } from '../../../../../protocol/tensors.ts';
import { graphOf, runGraph } from '../rewrites/run-graph.ts';
import { nodeTeam, runModule } from './run-module.ts';

let team: Team;
beforeAll(async () => {
  team = await nodeTeam(2);
});
afterAll(() => team.close());

/** Below this, one thread does it all. */
const SHARED = 2 ** 15;
const inputSize = (graph: Graph): number =>
  Math.max(...graph.inputs.map(({ value }) => sizeOf(graph.types.get(value)!.shape)));

/** Ours against ONNX Runtime's, relative to the largest number; several threads against one. */
async function expectAgreement(graph: Graph, bound = 2e-6): Promise<void> {
  const [expected, { y }] = [await runGraph(graph), await runModule(graph)];
  expect(y!.shape).toEqual(expected.shape);
  const largest = Math.max(1e-6, ...Array.from(expected.data, Math.abs));
  const off = expected.data.map((x, i) => Math.abs(x - y!.data[i]!));
  expect(Math.max(0, ...off)).toBeLessThan(bound * largest);
  if (Math.max(inputSize(graph), expected.data.length) >= SHARED)
    expect((await runModule(graph, team)).y!.data).toEqual(y!.data);
}

const f = float32Type;
const node = (g: GraphBuilder, op: string, inputs: Value[], shape: readonly number[], attributes = {}): Value =>
  g.node(op, inputs, f(shape), attributes);
const reduced = (shape: readonly number[], axes: readonly number[], keep: boolean): number[] =>
  shape.flatMap((d, i) => (axes.includes(i) ? (keep ? [1] : []) : [d]));

describe('reductions', () => {
  const shapes = [[7], [5, 3], [4, 6, 19], [2, 3, 5, 4], [3, 1, 33], [300, 200]];
  const cases = shapes.flatMap((shape) =>
    Array.from({ length: 2 ** shape.length - 1 }, (_, bits) => ({
      shape,
      axes: shape.map((_, i) => i).filter((i) => ((bits + 1) >> i) & 1),
    })),
  );
  it.each(cases)('of $shape along $axes', async ({ shape, axes }) => {
    for (const op of ['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin']) {
      const keep = op === 'ReduceMean';
      await expectAgreement(
        graphOf({ x: shape }, (g, [x]) =>
          node(g, op, [x!, g.ints(axes)], reduced(shape, axes, keep), { keepdims: keep ? 1 : 0 }),
        ),
      );
    }
  });

  it('take an expression in, and give several results of one pass', async () => {
    const shape = [6, 50, 40];
    await expectAgreement(
      graphOf({ x: shape, w: [40] }, (g, [x, w]) => {
        const scaled = node(g, 'Mul', [x!, w!], shape);
        const sums = node(g, 'ReduceSum', [scaled, g.ints([1])], [6, 1, 40], { keepdims: 1 });
        const squares = node(g, 'ReduceMean', [node(g, 'Mul', [scaled, scaled], shape), g.ints([1])], [6, 1, 40], {
          keepdims: 1,
        });
        return node(g, 'Sub', [node(g, 'Mul', [scaled, squares], shape), sums], shape);
      }),
    );
  });
});

describe('maps', () => {
  it.each([
    [[6, 7], [7]],
    [
      [6, 7],
      [6, 1],
    ],
    [
      [3, 5, 4],
      [5, 1],
    ],
    [
      [3, 5, 4],
      [3, 1, 4],
    ],
    [
      [1, 8],
      [9, 1],
    ],
    [[64, 700], [700]],
    [
      [2, 64, 65],
      [64, 1],
    ],
    [[], [3]],
  ])('of %j with %j broadcast', async (a, b) => {
    const rank = Math.max(a.length, b.length);
    const at = (s: readonly number[], i: number): number => s[s.length - rank + i] ?? 1;
    const shape = Array.from({ length: rank }, (_, i) => Math.max(at(a, i), at(b, i)));
    for (const op of ['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min'])
      await expectAgreement(graphOf({ a, b }, (g, [x, y]) => node(g, op, [x!, y!], shape)));
  });

  it('compare, choose and change types', async () => {
    const shape = [5, 9];
    await expectAgreement(
      graphOf({ a: shape, b: shape }, (g, [a, b]) => {
        const bool = { dtype: 'bool', shape } as const;
        const less = g.node('Less', [a!, b!], bool);
        const positive = g.node('GreaterOrEqual', [a!, g.float(0)], bool);
        const both = g.node('Or', [g.node('And', [less, positive], bool), g.node('Not', [less], bool)], bool);
        const one = g.node('Cast', [both], f(shape), { to: 1 });
        const whole = g.node('Cast', [g.node('Mul', [a!, g.float(9)], f(shape))], { dtype: 'int32', shape }, { to: 6 });
        const back = g.node('Cast', [g.node('Add', [whole, whole], { dtype: 'int32', shape })], f(shape), { to: 1 });
        return node(g, 'Where', [less, node(g, 'Sub', [back, one], shape), b!], shape);
      }),
    );
  });
});

describe('moves', () => {
  const shape = [4, 5, 6];
  it.each([[[0, 2, 1]], [[2, 1, 0]], [[1, 0, 2]], [[2, 0, 1]]])(
    'transposes by %j, and reshapes what comes of it',
    async (perm) => {
      const moved = perm.map((p) => shape[p]!);
      await expectAgreement(
        graphOf({ x: shape, z: moved }, (g, [x, z]) => {
          const t = node(g, 'Transpose', [x!], moved, { perm });
          const flat = node(g, 'Reshape', [t, g.ints([sizeOf(shape)])], [sizeOf(shape)]);
          return node(g, 'Add', [node(g, 'Reshape', [flat, g.ints(moved)], moved), z!], moved);
        }),
      );
    },
  );

  it.each([
    { starts: [1], ends: [3], axes: [0], steps: [1], to: [2, 5, 6] },
    { starts: [-2, 0], ends: [9, 5], axes: [2, 1], steps: [1, 2], to: [4, 3, 2] },
    { starts: [-1], ends: [-1000], axes: [2], steps: [-1], to: [4, 5, 6] },
    { starts: [4, 5], ends: [0, -1000], axes: [1, 2], steps: [-2, -1], to: [4, 2, 6] },
    { starts: [100], ends: [-1000], axes: [0], steps: [-3], to: [2, 5, 6] },
  ])('slices $starts to $ends by $steps', async ({ starts, ends, axes, steps, to }) => {
    await expectAgreement(
      graphOf({ x: shape }, (g, [x]) => node(g, 'Slice', [x!, ...[starts, ends, axes, steps].map(g.ints)], to)),
    );
  });

  it('slices from before the beginning, and by negative axes', async () => {
    await expectAgreement(
      graphOf({ x: shape }, (g, [x]) =>
        node(
          g,
          'Slice',
          [
            x!,
            ...[
              [-1000, 1],
              [3, 1000],
              [-1, -3],
              [2, 1],
            ].map(g.ints),
          ],
          [3, 5, 2],
        ),
      ),
    );
  });

  it.each([
    [3, 2000],
    [70, 1],
    [33, 500],
  ])('walks backwards along columns that lie far apart: [%i, %i]', async (rows, columns) => {
    const [there, back] = [
      [rows, columns],
      [columns, rows],
    ];
    await expectAgreement(
      graphOf({ x: there, z: back }, (g, [x, z]) => {
        const reversed = node(g, 'Slice', [x!, ...[[-1], [-1000], [0], [-1]].map(g.ints)], there!);
        const t = node(g, 'Transpose', [reversed], back!, { perm: [1, 0] });
        return node(g, 'Add', [t, z!], back!);
      }),
    );
    await expectAgreement(
      graphOf({ x: there }, (g, [x]) => {
        const reversed = node(g, 'Slice', [x!, ...[[-1], [-10_000], [1], [-1]].map(g.ints)], there!);
        const t = node(g, 'Transpose', [reversed], back!, { perm: [1, 0] });
        return node(g, 'ReduceSum', [node(g, 'Mul', [t, t], back!), g.ints([0])], [rows], { keepdims: 0 });
      }),
      1e-5,
    );
  });

  it('joins, pads, expands, repeats and picks', async () => {
    await expectAgreement(
      graphOf({ x: [3, 4], y: [3, 2] }, (g, [x, y]) => {
        const joined = node(g, 'Concat', [x!, y!, x!], [3, 10], { axis: -1 });
        const padded = node(g, 'Pad', [joined, g.ints([1, 0, 2, 3]), g.float(0.5)], [6, 13]);
        const tiled = node(g, 'Tile', [padded, g.ints([2, 3])], [12, 39]);
        const column = node(g, 'Slice', [tiled, g.ints([0]), g.ints([1]), g.ints([1])], [12, 1]);
        const wide = node(g, 'Expand', [column, g.ints([12, 39])], [12, 39]);
        const sum = node(g, 'Add', [tiled, wide], [12, 39]);
        const rows = node(g, 'Gather', [sum, g.ints([11, 0, -2, 0])], [4, 39], { axis: 0 });
        return node(g, 'Gather', [rows, g.ints([38, 1, -1])], [4, 3], { axis: 1 });
      }),
    );
  });

  it('scales and moves channels', async () => {
    await expectAgreement(
      graphOf({ x: [1, 5, 7], a: [5], b: [5] }, (g, inputs) => {
        const [zeros, ones] = [0, 1].map((value) =>
          g.constant({ dtype: 'float32', shape: [5], data: new Float32Array(5).fill(value) }),
        );
        return node(g, 'BatchNormalization', [...inputs, zeros!, ones!], [1, 5, 7], { epsilon: { float: 0 } });
      }),
    );
  });

  it('normalises along an axis', async () => {
    await expectAgreement(graphOf({ x: [3, 5, 7] }, (g, [x]) => node(g, 'Softmax', [x!], [3, 5, 7], { axis: 1 })));
    await expectAgreement(
      graphOf({ x: [6, 24], s: [24], o: [24] }, (g, inputs) => {
        const types = [
          [6, 24],
          [6, 1],
          [6, 1],
        ].map(f);
        const [y, mean, r] = g.nodes('LayerNormalization', inputs, types, { axis: -1, epsilon: { float: 1e-5 } });
        return node(g, 'Mul', [node(g, 'Add', [y!, mean!], [6, 24]), r!], [6, 24]);
      }),
      1e-5,
    );
  });
});
