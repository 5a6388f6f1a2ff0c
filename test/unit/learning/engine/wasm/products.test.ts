/** Products and convolutions with both gradients give ONNX Runtime's numbers, on one thread and, to the bit, on several. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32Type, type Graph } from '../../../../../learning/engine/onnx/graph.ts';
import { lowerConvolutions } from '../../../../../learning/engine/rewrites/lower-convolution.ts';
import { lowerNormalisation } from '../../../../../learning/engine/rewrites/lower-normalisation.ts';
import { tilesOf } from '../../../../../learning/engine/wasm/micro-kernel.ts';
import type { Team } from '../../../../../learning/engine/wasm/team.ts';
import { graphOf, runGraph } from '../rewrites/run-graph.ts';
import { nodeTeam, runModule } from './run-module.ts';

let team: Team;
beforeAll(async () => {
  team = await nodeTeam(2);
});
afterAll(() => team.close());

async function expectAgreement(graph: Graph, { bound = 5e-6, threads = false } = {}): Promise<void> {
  const plain = lowerNormalisation()(lowerConvolutions(graph));
  const [expected, { y }] = [await runGraph(plain), await runModule(graph, undefined, 2)];
  expect(y!.shape).toEqual(expected.shape);
  const largest = Math.max(1e-6, ...Array.from(expected.data, Math.abs));
  const off = expected.data.map((x, i) => Math.abs(x - y!.data[i]!));
  expect(Math.max(...off)).toBeLessThan(bound * largest);
  if (threads) expect((await runModule(graph, team, 2)).y!.data).toEqual(y!.data);
}

const f = float32Type;

describe('tiles', () => {
  it('cover any number of rows, with none of one row beside larger ones', () => {
    for (let rows = 1; rows < 60; rows++) {
      const tiles = tilesOf(rows);
      expect(tiles.reduce((sum, { size, count }) => sum + size * count, 0)).toBe(rows);
      expect(tiles.every(({ size, count }) => size >= Math.min(rows, 3) && size <= 6 && count > 0)).toBe(true);
    }
  });
});

describe('products', () => {
  const sizes = [1, 2, 5, 8, 13, 31];
  it.each(sizes.flatMap((m) => [1, 3, 8, 9, 20].map((n) => [m, n] as const)))('[%i, k] · [k, %i]', async (m, n) => {
    for (const k of [1, 6, 17])
      await expectAgreement(graphOf({ a: [m, k], b: [k, n] }, (g, ab) => g.node('MatMul', ab, f([m, n]))));
  });

  it('of many numbers, for all threads', async () => {
    for (const n of [64, 100, 12])
      await expectAgreement(
        graphOf({ a: [90, 130], b: [130, n] }, (g, ab) => g.node('MatMul', ab, f([90, n]))),
        { threads: true },
      );
  });

  it('of transposed matrices', async () => {
    await expectAgreement(
      graphOf({ a: [9, 14], b: [11, 9] }, (g, [a, b]) => {
        const [at, bt] = [
          [14, 9],
          [9, 11],
        ].map((shape, i) => g.node('Transpose', [[a!, b!][i]!], f(shape), { perm: [1, 0] }));
        return g.node('MatMul', [at!, bt!], f([14, 11]));
      }),
    );
  });

  it('of matrices that are seen backwards', async () => {
    await expectAgreement(
      graphOf({ a: [9, 14], b: [14, 11] }, (g, ab) => {
        const reversed = ab.map((x, i) =>
          g.node(
            'Slice',
            [
              x,
              ...[
                [-1, -1],
                [-1000, -1000],
                [0, 1],
                [-1, -1],
              ].map(g.ints),
            ],
            f(
              [
                [9, 14],
                [14, 11],
              ][i]!,
            ),
          ),
        );
        return g.node('MatMul', reversed, f([9, 11]));
      }),
    );
  });

  it('in batches, also of one operand only', async () => {
    for (const shape of [
      [4, 3, 6],
      [2, 3, 5, 6],
      [9, 100, 60],
    ]) {
      const threads = shape[1] === 100;
      const batch = shape.slice(0, -2);
      const [m, k] = shape.slice(-2) as [number, number];
      await expectAgreement(
        graphOf({ a: shape, b: [...batch, k, 10] }, (g, ab) => g.node('MatMul', ab, f([...batch, m, 10]))),
        { threads },
      );
      await expectAgreement(graphOf({ a: shape, b: [k, 10] }, (g, ab) => g.node('MatMul', ab, f([...batch, m, 10]))));
    }
    await expectAgreement(
      graphOf({ a: [4, 5, 2, 3], b: [4, 5, 2, 3] }, (g, [a, b]) => {
        const heads = g.node('Transpose', [a!], f([4, 2, 5, 3]), { perm: [0, 2, 1, 3] });
        const keys = g.node('Transpose', [b!], f([4, 2, 3, 5]), { perm: [0, 2, 3, 1] });
        return g.node('MatMul', [heads, keys], f([4, 2, 5, 5]));
      }),
    );
  });
});

describe('convolutions', () => {
  const cases = [
    { x: [2, 3, 7, 6], filter: [5, 3, 3, 3], stride: 1, pads: [1, 1, 1, 1] },
    { x: [2, 3, 7, 6], filter: [8, 3, 3, 3], stride: 2, pads: [0, 0, 1, 1] },
    { x: [3, 8, 8, 8], filter: [16, 8, 3, 3], stride: 2, pads: [1, 1, 1, 1] },
    { x: [2, 4, 5, 9], filter: [9, 4, 1, 1], stride: 1, pads: [0, 0, 0, 0] },
    { x: [2, 4, 6, 5], filter: [9, 4, 1, 1], stride: 2, pads: [0, 0, 0, 0] },
    { x: [2, 1, 9, 8], filter: [4, 1, 5, 5], stride: 3, pads: [2, 1, 1, 2] },
    { x: [4, 2, 4, 4], filter: [3, 2, 2, 3], stride: 1, pads: [0, 1, 1, 1] },
    { x: [1, 2, 4, 4], filter: [17, 2, 4, 4], stride: 4, pads: [0, 0, 0, 0] },
    // one image, one channel, one filter: less than any tile, panel or thread takes
    { x: [1, 1, 5, 5], filter: [1, 1, 3, 3], stride: 2, pads: [1, 1, 1, 1] },
    { x: [1, 13, 1, 1], filter: [7, 13, 1, 1], stride: 1, pads: [0, 0, 0, 0] },
  ];
  /** Those that several threads are given too. */
  const shared = [cases[1], cases[8], cases[9]];
  const outOf = ({ x, filter, stride, pads }: (typeof cases)[number]): number[] => {
    const size = (axis: 0 | 1): number =>
      Math.floor((x[2 + axis]! + pads[axis]! + pads[2 + axis]! - filter[2 + axis]!) / stride) + 1;
    return [x[0]!, filter[0]!, size(0), size(1)];
  };
  const attributesOf = ({ stride, pads }: (typeof cases)[number]) => ({
    ...{ strides: [stride, stride], pads, dilations: [1, 1], group: 1 },
  });

  it.each(cases)('of $x with $filter, stride $stride, pads $pads', async (entry) => {
    await expectAgreement(
      graphOf({ x: entry.x, w: entry.filter }, (g, xw) => g.node('Conv', xw, f(outOf(entry)), attributesOf(entry))),
      { threads: shared.includes(entry) },
    );
  });
  it.each(cases)('their gradient for $x, with $filter, stride $stride, pads $pads', async (entry) => {
    const dy = outOf(entry);
    await expectAgreement(
      graphOf({ dy, w: entry.filter }, (g, inputs) =>
        g.node('ConvGradInput', inputs, f(entry.x), attributesOf(entry), 'tacit'),
      ),
      { threads: shared.includes(entry) },
    );
  });
  it.each(cases)('their gradient for $filter, of $x, stride $stride, pads $pads', async (entry) => {
    const dy = outOf(entry);
    await expectAgreement(
      graphOf({ x: entry.x, dy }, (g, inputs) =>
        g.node('ConvGradFilter', inputs, f(entry.filter), attributesOf(entry), 'tacit'),
      ),
      { threads: shared.includes(entry) },
    );
  });

  it('with a filter that is seen backwards', async () => {
    await expectAgreement(
      graphOf({ x: [2, 3, 5, 4], w: [9, 3, 2, 2] }, (g, [x, w]) => {
        const slices = [
          [-1, -1, -1],
          [-1000, -1000, -1000],
          [0, 1, 3],
          [-1, -1, -1],
        ].map(g.ints);
        const reversed = g.node('Slice', [w!, ...slices], f([9, 3, 2, 2]));
        const attributes = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };
        return g.node('Conv', [x!, reversed], f([2, 9, 4, 3]), attributes);
      }),
    );
  });

  it('with a group normalisation behind them', async () => {
    const shape = [3, 8, 6, 5];
    await expectAgreement(
      graphOf({ x: shape, s: [8], o: [8] }, (g, inputs) => {
        const types = [shape, [3, 4], [3, 4]].map(f);
        return g.nodes('GroupNorm', inputs, types, { groups: 4, epsilon: { float: 1e-5 } }, 'tacit')[0]!;
      }),
      { bound: 2e-5 },
    );
  });
});
