/** Robust aggregators against naïve references, and against updates that are sent to do harm. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AggregatorOutputs } from '../../../server/aggregators/aggregator.ts';
import { aggregateRobustly, type RobustSpec } from '../../../server/aggregators/registry.ts';
import {
  medianByDefinition,
  multiKrumByDefinition,
  normBoundByDefinition,
  totalDistance,
  trimmedMeanByDefinition,
} from '../../reference/robust.ts';

const breathe = async (): Promise<void> => {};
const run = (spec: RobustSpec, updates: number[][], weights = updates.map(() => 1), state = {}) =>
  aggregateRobustly(spec, state, { updates: updates.map((u) => Float32Array.from(u)), weights, breathe });

const updatesOf = (least: number): fc.Arbitrary<number[][]> =>
  fc.tuple(fc.integer({ min: least, max: 12 }), fc.integer({ min: 1, max: 6 })).chain(([n, d]) =>
    fc.array(fc.array(fc.float({ min: -3, max: 3, noNaN: true }), { minLength: d, maxLength: d }), {
      minLength: n,
      maxLength: n,
    }),
  );

const close = ({ aggregate }: AggregatorOutputs, expected: readonly number[]): void => {
  expect(aggregate).toHaveLength(expected.length);
  for (const [i, x] of expected.entries()) expect(Math.abs(aggregate[i]! - x)).toBeLessThan(1e-5);
};

describe('against its definition', () => {
  test('median', () =>
    fc.assert(
      fc.asyncProperty(updatesOf(1), async (u) => close(await run({ name: 'median' }, u), medianByDefinition(u))),
    ));

  test.each([0.1, 0.25, 0.49])('trimmed mean, %d at each end', (trim) =>
    fc.assert(
      fc.asyncProperty(updatesOf(1), async (u) =>
        close(await run({ name: 'trimmed-mean', trim }, u), trimmedMeanByDefinition(u, trim)),
      ),
    ),
  );

  test.each([1, 2, 4])('multi-krum against %d', (byzantine) => {
    // values drawn so that no two scores are equal: which of two equals is kept is free
    const distinct = updatesOf(2 * byzantine + 3).map((u) =>
      u.map((x, k) => x.map((v, i) => v + 0.01 * Math.sin(7 * k + 3 * i))),
    );
    return fc.assert(
      fc.asyncProperty(distinct, async (u) =>
        close(
          await run({ name: 'multi-krum', byzantine }, u),
          multiKrumByDefinition(
            u.map((x) => [...Float32Array.from(x)]),
            byzantine,
          ),
        ),
      ),
    );
  });

  test('geometric median: no other point nearby has a smaller sum of distances', () =>
    fc.assert(
      fc.asyncProperty(updatesOf(1), fc.integer({ min: 1, max: 1000 }), async (u, seed) => {
        const { aggregate } = await run({ name: 'geometric-median', iterations: 500 }, u);
        const here = totalDistance(u, [...aggregate]);
        for (const point of [...u, medianByDefinition(u)]) {
          expect(here).toBeLessThanOrEqual(totalDistance(u, point) * 1.005 + 1e-3);
        }
        const step = aggregate.map((_, i) => 0.05 * Math.sin(seed * (i + 1)));
        expect(here).toBeLessThanOrEqual(
          totalDistance(
            u,
            [...aggregate].map((x, i) => x + step[i]!),
          ) *
            1.005 +
            1e-3,
        );
      }),
      // Weiszfeld's last steps towards an update itself are small ones: half a percent is left
      { numRuns: 50 },
    ));

  test('norm bound, of the plan and of the round before', () =>
    fc.assert(
      fc.asyncProperty(updatesOf(1), async (u) => {
        const weights = u.map((_, k) => (k + 1) / u.length);
        close(await run({ name: 'norm-bound', bound: 1.5 }, u, weights), normBoundByDefinition(u, weights, 1.5));
        const norms = u.map((x) => Math.hypot(...x)).sort((a, b) => a - b);
        const median = medianByDefinition(norms.map((x) => [x]))[0]!;
        const first = await run({ name: 'norm-bound', bound: null }, u, weights);
        close(first, normBoundByDefinition(u, weights, median));
        const longer = u.map((x) => x.map((v) => 10 * v));
        const second = await run({ name: 'norm-bound', bound: null }, longer, weights, first.state);
        close(second, normBoundByDefinition(longer, weights, median));
      }),
    ));
});

describe('against hostile updates', () => {
  const honest = Array.from({ length: 8 }, (_, k) => [1 + 0.1 * Math.sin(k), -2 + 0.1 * Math.cos(k), 0.5]);
  const attacks: Record<string, number[][]> = {
    'far away': [
      [1e6, 1e6, -1e6],
      [-1e6, 1e6, 1e6],
    ],
    'together, the other way': [
      [-20, 40, -10],
      [-20, 40, -10],
    ],
  };
  const specs: readonly RobustSpec[] = [
    { name: 'median' },
    { name: 'trimmed-mean', trim: 0.2 },
    { name: 'multi-krum', byzantine: 2 },
    { name: 'geometric-median', iterations: 200 },
  ];

  test.each(specs.flatMap((spec) => Object.keys(attacks).map((attack) => [spec.name, attack, spec] as const)))(
    '%s stays with the honest: %s',
    async (_, attack, spec) => {
      const { aggregate } = await run(spec, [...attacks[attack]!, ...honest]);
      expect(Math.hypot(aggregate[0]! - 1, aggregate[1]! + 2, aggregate[2]! - 0.5)).toBeLessThan(0.25);
    },
  );

  test('a norm bound lets one move the model no further than another', async () => {
    const { aggregate } = await run({ name: 'norm-bound', bound: null }, [[1e9, 0, 0], ...honest]);
    expect(Math.hypot(aggregate[0]! - 1, aggregate[1]! + 2, aggregate[2]! - 0.5)).toBeLessThan(0.6);
  });

  test('multi-krum with fewer reports than it can tell apart is refused', async () => {
    await expect(run({ name: 'multi-krum', byzantine: 3 }, honest)).rejects.toMatchObject({
      code: 'round/too-few-reports',
    });
  });
});
