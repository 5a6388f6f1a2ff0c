import { describe, expect, it } from 'vitest';
import { alignment, uniformity } from '../../../../learning/evaluation/alignment-uniformity.ts';
import { accuracyOf, confusionMatrix, perClassAccuracy } from '../../../../learning/evaluation/confusion.ts';
import { features, normaliseRows } from '../../../../learning/evaluation/features.ts';
import { knn } from '../../../../learning/evaluation/knn.ts';
import { rankMe, singularValues } from '../../../../learning/evaluation/rank-me.ts';
import { symmetricEigen, symmetricEigenvalues } from '../../../../learning/evaluation/symmetric-eigen.ts';
import { stream } from '../../../../protocol/random.ts';
import { blobs, rowsOf } from './blobs.ts';

const random = (seed: number, n: number): Float64Array => {
  const rng = stream(seed, 'numbers');
  return Float64Array.from({ length: n }, () => rng.normal());
};

describe('knn', () => {
  it('agrees with sorting all similarities and voting', () => {
    const bank = blobs(1, 80, 6, 4, 0.6);
    const queries = blobs(2, 50, 6, 4, 0.6);
    const cosine = (a: number[], b: number[]): number =>
      a.reduce((s, v, i) => s + v * b[i]!, 0) / (Math.hypot(...a) * Math.hypot(...b));
    for (const [neighbours, temperature] of [
      [1, 0.1],
      [7, 0.07],
      [20, 0.5],
      [500, 0.1],
    ] as const) {
      const expected = rowsOf(queries).map((q) => {
        const sorted = rowsOf(bank)
          .map((row, i) => ({ similarity: cosine(q, row), label: bank.labels[i]! }))
          .sort((a, b) => b.similarity - a.similarity)
          .slice(0, neighbours);
        const votes = [0, 1, 2, 3].map((c) =>
          sorted.reduce((s, n) => s + (n.label === c ? Math.exp(n.similarity / temperature) : 0), 0),
        );
        return votes.indexOf(Math.max(...votes));
      });
      expect([...knn(bank, queries.features, { classes: 4, neighbours, temperature })]).toEqual(expected);
    }
  });

  it('survives a temperature so small that exp(1 / t) overflows', () => {
    const bank = blobs(3, 30, 6, 3, 3);
    expect([...knn(bank, bank.features, { classes: 3, neighbours: 5, temperature: 1e-4 })]).toEqual([...bank.labels]);
  });
});

describe('symmetricEigenvalues', () => {
  it('finds the spectrum that a matrix was built with', () => {
    for (const n of [1, 2, 3, 8, 33]) {
      const spectrum = Array.from({ length: n }, (_, i) => (i % 3 === 0 ? -1 : 1) * (n - i) ** 2);
      // a product of Householder reflections is orthogonal: H D H
      const matrix = new Float64Array(n * n);
      const v = random(n, n);
      const squared = v.reduce((s, x) => s + x * x, 0);
      const h = (i: number, j: number): number => (i === j ? 1 : 0) - (2 * v[i]! * v[j]!) / squared;
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) for (let k = 0; k < n; k++) matrix[i * n + j]! += h(i, k) * spectrum[k]! * h(k, j);
      const found = symmetricEigenvalues(matrix, n);
      spectrum.sort((a, b) => b - a);
      found.forEach((value, i) => {
        expect(value).toBeCloseTo(spectrum[i]!, 8);
      });
    }
  });

  it('handles blocks that do not couple, and zero', () => {
    expect([...symmetricEigenvalues(Float64Array.of(2, 0, 0, 0, 3, 0, 0, 0, 1), 3)]).toEqual([3, 2, 1]);
    expect([...symmetricEigenvalues(new Float64Array(16), 4)]).toEqual([0, 0, 0, 0]);
    const pair = symmetricEigenvalues(Float64Array.of(0, 1, 1, 0), 2);
    expect(pair[0]).toBeCloseTo(1, 12);
    expect(pair[1]).toBeCloseTo(-1, 12);
  });

  it('keeps trace and sum of squares', () => {
    const n = 40;
    const a = random(9, n * n);
    const matrix = Float64Array.from(a, (_, k) => a[k]! + a[(k % n) * n + Math.floor(k / n)]!);
    const values = symmetricEigenvalues(matrix, n);
    const trace = Array.from({ length: n }, (_, i) => matrix[i * n + i]!).reduce((x, y) => x + y, 0);
    expect(values.reduce((x, y) => x + y, 0)).toBeCloseTo(trace, 8);
    expect(values.reduce((s, v) => s + v * v, 0)).toBeCloseTo(
      matrix.reduce((s, v) => s + v * v, 0),
      6,
    );
  });
});

describe('symmetricEigen', () => {
  it('finds vectors that the matrix only stretches, one for each value, orthonormal', () => {
    for (const n of [1, 2, 5, 30]) {
      const a = random(10 + n, n * n);
      const matrix = Float64Array.from(a, (_, k) => a[k]! + a[(k % n) * n + Math.floor(k / n)]!);
      const { values, vectors } = symmetricEigen(matrix, n);
      for (let k = 0; k < n; k++) {
        const v = vectors.subarray(k * n, (k + 1) * n);
        for (let i = 0; i < n; i++) {
          const stretched = v.reduce((sum, x, j) => sum + matrix[i * n + j]! * x, 0);
          expect(stretched).toBeCloseTo(values[k]! * v[i]!, 9);
          const other = vectors.subarray(i * n, (i + 1) * n);
          expect(v.reduce((sum, x, j) => sum + x * other[j]!, 0)).toBeCloseTo(i === k ? 1 : 0, 11);
        }
      }
      expect([...values].sort((x, y) => y - x)).toEqual([...symmetricEigenvalues(matrix, n)]);
    }
  });

  it('keeps axes that do not couple', () => {
    const { values, vectors } = symmetricEigen(Float64Array.of(2, 0, 0, 0, 3, 0, 0, 0, 1), 3);
    expect([...values]).toEqual([2, 3, 1]);
    expect([...vectors]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1]);
  });
});

describe('rankMe', () => {
  it('is the number of dimensions for orthogonal features, one for parallel rows', () => {
    const identity = Float64Array.from({ length: 64 }, (_, k) => (k % 9 === 0 ? 3 : 0));
    expect(rankMe(features(8, 8, identity))).toBeCloseTo(8, 3);
    const parallel = Float64Array.from({ length: 50 * 6 }, (_, k) => (1 + Math.floor(k / 6)) * ((k % 6) + 1));
    expect(rankMe(features(50, 6, parallel))).toBeCloseTo(1, 3);
    expect(rankMe(features(3, 2, new Float64Array(6)))).toBe(0);
  });

  it('follows its definition on known singular values', () => {
    // columns orthogonal with norms 3, 4: σ = 4, 3
    const data = Float64Array.of(3, 0, 0, 4, 0, 0);
    expect([...singularValues(features(3, 2, data))].map((v) => Math.round(v * 1e9) / 1e9)).toEqual([4, 3]);
    const shares = [4 / 7 + 1e-7, 3 / 7 + 1e-7];
    expect(rankMe(features(3, 2, data))).toBeCloseTo(Math.exp(-shares.reduce((s, p) => s + p * Math.log(p), 0)), 12);
  });

  it('is the same whichever of the two Gram matrices is taken', () => {
    const data = random(4, 12 * 30);
    const transposed = Float64Array.from(data, (_, k) => data[(k % 12) * 30 + Math.floor(k / 12)]!);
    expect(rankMe(features(12, 30, data))).toBeCloseTo(rankMe(features(30, 12, transposed)), 9);
  });
});

describe('alignment and uniformity', () => {
  it('alignment is 0 for equal directions, 2 for orthogonal and 4 for opposite ones', () => {
    const a = features(2, 2, Float64Array.of(1, 0, 0, 5));
    expect(alignment(a, features(2, 2, Float64Array.of(9, 0, 0, 1)))).toBeCloseTo(0, 12);
    expect(alignment(a, features(2, 2, Float64Array.of(0, 1, 1, 0)))).toBeCloseTo(2, 12);
    expect(alignment(a, features(2, 2, Float64Array.of(-1, 0, 0, -1)))).toBeCloseTo(4, 12);
    expect(() => alignment(a, features(1, 2, Float64Array.of(1, 0)))).toThrow(RangeError);
  });

  it('uniformity is 0 for a collapsed encoder and log e^{−8} for two opposite points', () => {
    expect(uniformity(features(3, 2, Float64Array.of(1, 1, 2, 2, 3, 3)))).toBeCloseTo(0, 12);
    expect(uniformity(features(2, 1, Float64Array.of(1, -2)))).toBeCloseTo(-8, 12);
    const spread = uniformity(features(200, 8, random(5, 1600)));
    expect(spread).toBeLessThan(-2);
    expect(() => uniformity(features(1, 2, Float64Array.of(1, 0)))).toThrow(RangeError);
  });

  it('normaliseRows leaves a zero row', () => {
    expect([...normaliseRows(features(2, 2, Float64Array.of(0, 0, 3, 0))).data]).toEqual([0, 0, 1, 0]);
  });
});

describe('confusion', () => {
  it('counts, and gives recall per class', () => {
    const truth = Int32Array.of(0, 0, 1, 1, 1);
    const counts = confusionMatrix(truth, Int32Array.of(0, 1, 1, 1, 0), 3);
    expect(counts).toEqual([
      [1, 1, 0],
      [1, 2, 0],
      [0, 0, 0],
    ]);
    expect(perClassAccuracy(counts)).toEqual([0.5, 2 / 3, null]);
    expect(accuracyOf(counts)).toBeCloseTo(0.6, 12);
    expect(() => confusionMatrix(truth, Int32Array.of(0, 0, 0, 0, 3), 3)).toThrow(RangeError);
  });
});
