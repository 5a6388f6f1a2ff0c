import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  classesPartition,
  dirichletPartition,
  iidPartition,
  partitionMatrix,
} from '../../../../learning/data/partition.ts';

const labelsOf = (perClass: number, classes: number): Int32Array =>
  Int32Array.from({ length: perClass * classes }, (_, i) => i % classes);

/** Disjoint and covering: together exactly 0…n−1. */
const covers = (parts: readonly Int32Array[], n: number): boolean => {
  const all = parts.flatMap((part) => [...part]).sort((a, b) => a - b);
  return all.length === n && all.every((index, i) => index === i);
};

const sorted = (part: Int32Array): boolean => part.every((value, i) => i === 0 || part[i - 1]! < value);

const cases = fc.record({
  labels: fc.array(fc.nat({ max: 6 }), { minLength: 40, maxLength: 300 }).map((list) => Int32Array.from(list)),
  participants: fc.integer({ min: 1, max: 12 }),
  seed: fc.nat(),
  minExamples: fc.integer({ min: 0, max: 3 }),
});

describe('partitions', () => {
  it('are disjoint, covering, sorted, at least the guard and a function of the seed (Dirichlet)', () => {
    const alpha = fc.constantFrom(0.001, 0.1, 0.5, 1, 10, 1e6, Number.POSITIVE_INFINITY);
    fc.assert(
      fc.property(cases, alpha, (options, a) => {
        const parts = dirichletPartition({ ...options, alpha: a });
        expect(parts).toHaveLength(options.participants);
        expect(covers(parts, options.labels.length)).toBe(true);
        expect(parts.every(sorted)).toBe(true);
        expect(Math.min(...parts.map((p) => p.length))).toBeGreaterThanOrEqual(options.minExamples);
        expect(dirichletPartition({ ...options, alpha: a })).toEqual(parts);
      }),
    );
  });

  it('are disjoint and covering (IID, with sizes that differ by one at most)', () => {
    fc.assert(
      fc.property(cases, (options) => {
        const parts = iidPartition(options);
        const sizes = parts.map((part) => part.length);
        expect(covers(parts, options.labels.length)).toBe(true);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('give each participant the wanted number of classes', () => {
    const labels = labelsOf(100, 10);
    for (const classes of [1, 2, 3]) {
      const parts = classesPartition({ labels, participants: 10, classes, seed: 3 });
      expect(covers(parts, labels.length)).toBe(true);
      for (const row of partitionMatrix(labels, parts)) expect(row.filter((n) => n > 0)).toHaveLength(classes);
      const sizes = parts.map((part) => part.length);
      expect(Math.min(...sizes)).toBeGreaterThan(0);
    }
  });

  it('differ between seeds', () => {
    const labels = labelsOf(30, 10);
    const options = { labels, participants: 5 };
    expect(dirichletPartition({ ...options, alpha: 0.5, seed: 1 })).not.toEqual(
      dirichletPartition({ ...options, alpha: 0.5, seed: 2 }),
    );
    expect(iidPartition({ ...options, seed: 1 })).not.toEqual(iidPartition({ ...options, seed: 2 }));
    const two = { ...options, classes: 4 };
    expect(classesPartition({ ...two, seed: 1 })).not.toEqual(classesPartition({ ...two, seed: 2 }));
  });

  it('approach IID for a large α and single owners for a small one', () => {
    const labels = labelsOf(200, 10);
    const even = partitionMatrix(labels, dirichletPartition({ labels, participants: 10, alpha: 1e5, seed: 1 }));
    for (const row of even) for (const n of row) expect(Math.abs(n - 20)).toBeLessThanOrEqual(2);
    const skewed = partitionMatrix(
      labels,
      dirichletPartition({ labels, participants: 10, alpha: 0.001, seed: 1, minExamples: 0 }),
    );
    for (let c = 0; c < 10; c++) {
      expect(Math.max(...skewed.map((row) => row[c]!))).toBeGreaterThan(190);
    }
  });

  it('have the variance of the Dirichlet distribution: (K−1)/(K²(Kα+1))', () => {
    const classes = 400;
    const perClass = 1000;
    const labels = labelsOf(perClass, classes);
    const K = 5;
    for (const alpha of [0.3, 2]) {
      const parts = dirichletPartition({ labels, participants: K, alpha, seed: 11, minExamples: 0 });
      const shares = partitionMatrix(labels, parts).flatMap((row) => row.map((n) => n / perClass));
      const variance = shares.reduce((sum, share) => sum + (share - 1 / K) ** 2, 0) / shares.length;
      const expected = (K - 1) / (K * K * (K * alpha + 1));
      expect(variance / expected).toBeGreaterThan(0.85);
      expect(variance / expected).toBeLessThan(1.15);
    }
  });

  it('shuffle within a class: a participant does not get a run of neighbours', () => {
    const labels = new Int32Array(100);
    const [part] = dirichletPartition({ labels, participants: 4, alpha: 1e6, seed: 5 });
    expect(part!.at(-1)! - part![0]!).toBeGreaterThan(part!.length);
  });

  it('refuse what cannot be', () => {
    const labels = labelsOf(2, 5);
    const options = { labels, participants: 5, seed: 0 };
    expect(() => iidPartition({ ...options, minExamples: 3 })).toThrow(/10 examples cannot give 5 participants/);
    expect(() => dirichletPartition({ ...options, alpha: 0 })).toThrow(/concentration/);
    expect(() => classesPartition({ ...options, participants: 2, classes: 2 })).toThrow(/cannot cover 5 classes/);
    expect(() => classesPartition({ ...options, classes: 6 })).toThrow(/6 of 5 classes/);
    expect(() => iidPartition({ ...options, participants: 0 })).toThrow(/0 participants/);
  });

  it('count classes per participant', () => {
    const labels = Int32Array.of(0, 1, 2, 1, 0);
    expect(partitionMatrix(labels, [Int32Array.of(0, 4), Int32Array.of(1, 2, 3)])).toEqual([
      [2, 0, 0],
      [0, 2, 1],
    ]);
  });

  it('move only what the guard needs', () => {
    const labels = labelsOf(50, 4);
    const options = { labels, participants: 8, alpha: 0.05, seed: 9 };
    const free = dirichletPartition({ ...options, minExamples: 0 });
    const held = dirichletPartition({ ...options, minExamples: 5 });
    const missing = free.reduce((sum, part) => sum + Math.max(0, 5 - part.length), 0);
    const moved = held.reduce((sum, part, k) => sum + part.filter((i) => !free[k]!.includes(i)).length, 0);
    expect(missing).toBeGreaterThan(0);
    expect(moved).toBe(missing);
  });
});
