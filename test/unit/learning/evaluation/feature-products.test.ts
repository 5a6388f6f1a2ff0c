import { describe, expect, it } from 'vitest';
import { featureProducts, plainProducts } from '../../../../learning/evaluation/feature-products.ts';
import { stream } from '../../../../protocol/random.ts';

const random = (seed: number, n: number): Float64Array => {
  const rng = stream(seed, 'numbers');
  return Float64Array.from({ length: n }, () => rng.normal());
};

/** Σ over the middle axis, number by number: [a, b] · [b, c]. */
function product(x: Float64Array, y: Float64Array, a: number, b: number, c: number): number[] {
  return Array.from({ length: a * c }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < b; k++) sum += x[Math.floor(at / c) * b + k]! * y[k * c + (at % c)]!;
    return sum;
  });
}
const transposed = (x: Float64Array, rows: number, columns: number): Float64Array =>
  x.map((_, at) => x[(at % rows) * columns + Math.floor(at / rows)]!);

const SHAPES = [
  [1, 1, 1],
  [3, 2, 5],
  [4, 4, 2],
  [9, 17, 3],
  [30, 7, 10],
] as const;
const kinds = {
  vectors: (x: Float64Array, rows: number, columns: number, classes: number) =>
    featureProducts({ rows, columns, data: x }, classes),
  'plain loops': (x: Float64Array, rows: number, columns: number) => plainProducts(x, rows, columns),
};

describe.each(Object.entries(kinds))('featureProducts, %s', (_, open) => {
  it.each(SHAPES)('agrees with sums one by one for %i rows, %i columns and %i classes', (rows, columns, classes) => {
    const x = random(rows, rows * columns);
    const products = open(x, rows, columns, classes);
    for (const seed of [1, 2]) {
      const weights = random(seed, classes * columns);
      const residuals = random(seed + 2, classes * rows);
      const scores = new Float64Array(rows * classes).fill(9);
      const gradient = new Float64Array(classes * columns + 1).fill(9);
      products.scores(weights, scores);
      products.gradient(residuals, gradient);
      const expected = product(x, transposed(weights, classes, columns), rows, columns, classes);
      for (const [k, value] of expected.entries()) expect(scores[k]).toBeCloseTo(value, 10);
      const slopes = product(residuals, x, classes, rows, columns);
      for (const [k, value] of slopes.entries()) expect(gradient[k]).toBeCloseTo(value, 10);
      expect(gradient.at(-1)).toBe(9);
    }
  });
});

describe('featureProducts', () => {
  it('keeps features apart that are used by turns, whether they share a memory or not', () => {
    const large = 400 * 1600; // two layouts of this are more than the memory that small ones share
    const sources = [
      { rows: 6, columns: 5, data: random(1, 30) },
      { rows: 400, columns: 1600, data: random(2, large) },
      { rows: 5, columns: 6, data: random(3, 30) },
    ];
    const opened = sources.map((features) => featureProducts(features, 2));
    const weights = sources.map(({ columns }) => random(4, 2 * columns));
    const alone = sources.map((features, k) => {
      const out = new Float64Array(2 * features.rows);
      plainProducts(features.data, features.rows, features.columns).scores(weights[k]!, out);
      return out;
    });
    for (const k of [0, 1, 2, 1, 0, 2, 0]) {
      const out = new Float64Array(alone[k]!.length);
      opened[k]!.scores(weights[k]!, out);
      for (const [i, value] of out.entries()) expect(value).toBeCloseTo(alone[k]![i]!, 9);
    }
  });

  it('takes features in single precision', () => {
    const out = new Float64Array(2);
    featureProducts({ rows: 2, columns: 2, data: Float32Array.of(1, 2, 3, 4) }, 1).scores(Float64Array.of(10, 1), out);
    expect([...out]).toEqual([12, 34]);
  });
});
