import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addWords,
  checkReport,
  decodeSum,
  dequantise,
  encodeReport,
  encodeSection,
  roundHalfEven,
  scaleOf,
} from '../../../protocol/fixed-point.ts';
import type { Exchange, Section } from '../../../protocol/sections.ts';
import { exactScale, roundHalfEvenByCases } from '../../reference/report.ts';

const code = (wanted: string) => expect.objectContaining({ code: wanted });

const section = (bound: number, length = 1, rest: Partial<Section> = {}): Section => ({
  name: 'delta',
  length,
  reduce: 'weightedSum',
  bound,
  ringBits: 32,
  clipGroup: 'update',
  ...rest,
});
const exchangeOf = (bound: number, length: number): Exchange => ({
  index: 0,
  name: 'train',
  brings: {},
  sections: [
    section(bound, length),
    section(1, 1, { name: 'weight', reduce: 'sum', clipGroup: null }),
    section(1, 1, { name: 'metrics/loss', clipGroup: null, range: [-2, 6] }),
  ],
});
const values = (delta: ArrayLike<number>, loss = 0) => ({
  delta: Float32Array.from(delta),
  'metrics/loss': Float32Array.of(loss),
});

describe('[FP1] the scale', () => {
  test.each([
    [1, 1n, 1n],
    [2, 1n, 1n],
    [13, 1n, 2n],
    [100, 1n, 1n],
    [100, 15n, 4n],
    [100_000, 1n, 8n],
  ])('for %i participants and R = %i/%i', (n, numerator, denominator) => {
    const bound = Number(numerator) / Number(denominator);
    expect(scaleOf(section(bound), n)).toBe(Number(exactScale(BigInt(n), numerator, denominator)));
  });

  test('is refused where it is no integer from 1 to 2⁵³ − 1', () => {
    expect(() => scaleOf(section(1e6), 100_000)).toThrow(code('plan/refused'));
    expect(() => scaleOf(section(1e-300), 2)).toThrow(code('plan/refused'));
    expect(() => scaleOf(section(0), 2)).toThrow(code('plan/refused'));
    expect(() => scaleOf(section(Number.NaN), 2)).toThrow(code('plan/refused'));
  });
});

test('[FP2] rounding is half to even', () => {
  for (let i = -20; i <= 20; i++) {
    for (const x of [i / 2, i / 4, i / 2 + 1e-9, 2 ** 30 + i / 2, -(2 ** 30) - i / 2]) {
      expect(roundHalfEven(x) + 0, `${x}`).toBe(roundHalfEvenByCases(x) + 0);
    }
  }
  expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5].map((x) => roundHalfEven(x) + 0)).toEqual([0, 2, 2, 0, -2, -2]);
});

describe('[FP3] nothing wraps', () => {
  test.each([1, 2, 3, 7, 10, 13, 100, 999, 100_000])('%i participants with every coordinate at ±R', (n) => {
    for (const bound of [1e-3, 0.1, 1, 3.7, 20_000 / n]) {
      const [high, low] = encodeSection(section(bound, 2), Float64Array.of(bound, -bound), n);
      const acc = new Int32Array(2);
      for (let i = 0; i < n; i++) addWords(acc, Int32Array.of(high!, low!));
      expect(BigInt(acc[0]!)).toBe(BigInt(n) * BigInt(high!));
      expect(BigInt(acc[1]!)).toBe(BigInt(n) * BigInt(low!));
      const sum = dequantise({ index: 0, name: 'train', sections: [section(bound, 2)], brings: {} }, acc, n);
      expect(sum.delta![0]! / (n * bound)).toBeCloseTo(1, 3);
      expect(sum.delta![1]).toBe(-sum.delta![0]!);
    }
  });

  test('whatever the cohort and the bound', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), fc.double({ min: 1e-4, max: 1e3, noNaN: true }), (n, bound) => {
        if (n * bound > 1e8) return;
        const word = encodeSection(section(bound), Float64Array.of(bound), n)[0]!;
        expect(BigInt(n) * BigInt(word)).toBeLessThan(2n ** 31n);
      }),
      { numRuns: 5000 },
    );
  });

  test('values beyond the bound are clamped first, not wrapped', () => {
    const words = encodeSection(section(1, 4), Float64Array.of(1e30, -1e30, 3, -1.0001), 10);
    const limit = encodeSection(section(1), Float64Array.of(1), 10)[0]!;
    expect([...words]).toEqual([limit, -limit, limit, -limit]);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    '%d is refused, not turned into 0',
    (bad) => {
      expect(() => encodeSection(section(1, 2), Float64Array.of(0, bad), 10)).toThrow(code('report/not-finite'));
      expect(() => encodeReport(exchangeOf(1, 1), values([bad]), 1, 10)).toThrow(code('report/not-finite'));
      expect(() => encodeReport(exchangeOf(1, 1), values([0], Number.NaN), 1, 10)).toThrow(code('report/not-finite'));
    },
  );
});

test('any finite double is encoded within half a unit', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: 1, max: 5000 }), (x, n) => {
      const s = section(2);
      const word = encodeSection(s, Float64Array.of(x), n)[0]!;
      const clamped = Math.min(2, Math.max(-2, x));
      expect(Math.abs(word - clamped * scaleOf(s, n))).toBeLessThanOrEqual(0.5);
    }),
  );
});

describe('reports', () => {
  const exchange = exchangeOf(1, 3);

  test('are the weighted values, the weight and the metrics in the order of the sections', () => {
    const n = 4;
    const s = scaleOf(section(1), n);
    const words = encodeReport(exchange, values([0.5, -0.25, 0], 2), 0.5, n);
    expect([...words]).toEqual([0.25 * s, -0.125 * s, 0, 0.5 * s, 0.25 * s].map(roundHalfEvenByCases));
    const decoded = decodeSum(exchange, words, n);
    expect(decoded.delta![0]).toBeCloseTo(0.5, 6);
    expect(decoded.weight![0]).toBeCloseTo(0.5, 6);
    expect(decoded['metrics/loss']![0]).toBeCloseTo(2, 6);
  });

  test('[RP5] metrics outside their range are clamped to it', () => {
    for (const [loss, expected] of [
      [-100, -2],
      [100, 6],
    ] as const) {
      const sum = encodeReport(exchange, values([0, 0, 0], loss), 1, 4);
      expect(decodeSum(exchange, sum, 4)['metrics/loss']![0]).toBeCloseTo(expected, 6);
    }
  });

  test('[FP4] sums do not depend on the order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.int32Array({ minLength: 5, maxLength: 5 }), { minLength: 2, maxLength: 8 }),
        fc.infiniteStream(fc.nat()),
        (reports, picks) => {
          const sumOf = (list: readonly Int32Array[]) => {
            const acc = new Int32Array(5);
            for (const words of list) addWords(acc, words);
            return [...acc];
          };
          const rest = [...reports];
          const shuffled = reports.map(() => rest.splice(picks.next().value! % rest.length, 1)[0]!);
          expect(sumOf(shuffled)).toEqual(sumOf(reports));
          // partial sums add up to the whole
          const half = reports.length >> 1;
          expect(
            sumOf([sumOf(reports.slice(0, half)), sumOf(reports.slice(half))].map((w) => Int32Array.from(w))),
          ).toEqual(sumOf(reports));
        },
      ),
    );
  });

  test('of another length, or without weight, are refused', () => {
    expect(() => decodeSum(exchange, new Int32Array(4), 4)).toThrow(code('report/malformed'));
    expect(() => decodeSum(exchange, new Int32Array(5), 4)).toThrow(code('report/out-of-bounds'));
    expect(() => addWords(new Int32Array(3), new Int32Array(2))).toThrow(RangeError);
    for (const weight of [0, -1, 1.0001, Number.NaN]) {
      expect(() => encodeReport(exchange, values([0, 0, 0]), weight, 4)).toThrow(code('report/out-of-bounds'));
    }
    expect(() => encodeReport(exchange, values([0, 0]), 1, 4)).toThrow(code('report/malformed'));
    expect(() => encodeReport(exchange, { delta: new Float32Array(3) }, 1, 4)).toThrow(code('report/malformed'));
  });
});

describe('[FP6] checking a report', () => {
  const n = 20;
  const clipped = fc
    .tuple(
      fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 }),
      fc.double({ min: 0, max: 2, noNaN: true }),
    )
    .map(([x, length]) => {
      // The largest first: of subnormal numbers the norm itself would be rounded.
      const largest = Math.max(...x.map(Math.abs)) || 1;
      const direction = x.map((value) => value / largest);
      const norm = Math.hypot(...direction) || 1;
      return direction.map((value) => (value * Math.min(1, length)) / norm);
    });
  const exchange = exchangeOf(1, 4);

  test('every honest one passes', () => {
    fc.assert(
      fc.property(
        clipped,
        fc.double({ min: 1e-3, max: 1, noNaN: true }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        (delta, w, loss) => {
          expect(() => checkReport(exchange, encodeReport(exchange, values(delta, loss), w, n), n)).not.toThrow();
        },
      ),
    );
    expect(() => checkReport(exchange, encodeReport(exchange, values([1, 0, 0, 0]), 1, n), n)).not.toThrow();
  });

  const honest = () => encodeReport(exchange, values([0.5, 0.5, 0, 0], 1), 0.5, n);
  const unit = scaleOf(section(1), n);
  test.each<[string, number, number, string]>([
    ['a word above R·S', 2, unit + 2, 'report/out-of-bounds'],
    ['a word below −R·S', 2, -unit - 2, 'report/out-of-bounds'],
    ['the largest word there is', 2, 2 ** 31 - 1, 'report/out-of-bounds'],
    ['the smallest', 2, -(2 ** 31), 'report/out-of-bounds'],
    ['a word above what its weight allows', 2, Math.round(0.5 * unit) + 10, 'report/out-of-bounds'],
    ['a weight of 0', 4, 0, 'report/out-of-bounds'],
    ['a negative weight', 4, -5, 'report/out-of-bounds'],
    ['a weight above 1', 4, unit + 1, 'report/out-of-bounds'],
    ['a negative metric', 5, -1, 'report/out-of-bounds'],
    ['a metric above its weight', 5, Math.round(0.5 * unit) + 10, 'report/out-of-bounds'],
  ])('refuses %s', (_, at, word, expected) => {
    const words = honest();
    expect(() => checkReport(exchange, words, n)).not.toThrow();
    words[at] = word;
    expect(() => checkReport(exchange, words, n)).toThrow(code(expected));
  });

  test('refuses a delta that is longer than its norm though every word is within bounds', () => {
    const words = encodeReport(exchange, values([0.9, 0.9, 0, 0]), 1, n);
    expect(() => checkReport(exchange, words, n)).toThrow(code('report/out-of-bounds'));
    const light = encodeReport(exchange, values([0.6, 0.6, 0.6, 0.6]), 0.25, n);
    expect(() => checkReport(exchange, light, n)).toThrow(code('report/out-of-bounds'));
  });

  test('refuses a report of nothing at all: weight 0 is no weight', () => {
    expect(() => checkReport(exchange, new Int32Array(6), n)).toThrow(code('report/out-of-bounds'));
  });

  test('refuses another length', () => {
    expect(() => checkReport(exchange, honest().subarray(1), n)).toThrow(code('report/malformed'));
    expect(() => checkReport(exchange, new Int32Array(7), n)).toThrow(code('report/malformed'));
  });
});
