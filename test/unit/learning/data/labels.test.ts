import { describe, expect, it } from 'vitest';
import { drawLabels, labelsOf, splitValidation } from '../../../../learning/data/labels.ts';
import { openSource } from '../../../../learning/data/open.ts';
import { requireExamples } from '../../../../learning/data/source.ts';
import { float32 } from '../../../../protocol/tensors.ts';

const labels = Int32Array.from({ length: 100 }, (_, i) => (i * 7) % 10);
const GREY1 = { shape: [1, 1, 1], resize: 'error' } as const;

describe('label draws', () => {
  it('take k different examples of every class', () => {
    for (const perClass of [1, 2, 5, 10]) {
      const chosen = drawLabels({ labels, perClass, draw: 0, seed: 1 });
      expect(new Set(chosen).size).toBe(10 * perClass);
      const counts = new Array(10).fill(0);
      for (const index of chosen) counts[labels[index]!]++;
      expect(counts).toEqual(new Array(10).fill(perClass));
    }
  });

  it('are a function of seed, k and draw', () => {
    const base = { labels, perClass: 2, draw: 0, seed: 1 };
    expect(drawLabels(base)).toEqual(drawLabels(base));
    for (const other of [{ draw: 1 }, { seed: 2 }])
      expect(drawLabels({ ...base, ...other })).not.toEqual(drawLabels(base));
  });

  it('pass over classes that do not occur, and refuse those that have too few', () => {
    const sparse = Int32Array.of(0, 0, 3, 3);
    expect([...drawLabels({ labels: sparse, perClass: 2, draw: 0, seed: 0 })].sort()).toEqual([0, 1, 2, 3]);
    expect(() => drawLabels({ labels: sparse, perClass: 3, draw: 0, seed: 0 })).toThrow(/class 0 has 2 examples/);
  });
});

describe('the validation split', () => {
  it('is disjoint, covering, stratified and seeded', () => {
    const { train, validation } = splitValidation({ labels, fraction: 0.2, seed: 3 });
    expect([...train, ...validation].sort((a, b) => a - b)).toEqual(Array.from(labels.keys()));
    const counts = new Array(10).fill(0);
    for (const index of validation) counts[labels[index]!]++;
    expect(counts).toEqual(new Array(10).fill(2));
    expect(splitValidation({ labels, fraction: 0.2, seed: 3 })).toEqual({ train, validation });
    expect(splitValidation({ labels, fraction: 0.2, seed: 4 }).validation).not.toEqual(validation);
  });

  it('leaves every class that has two examples at least one on both sides', () => {
    const few = Int32Array.of(0, 0, 1, 1, 1, 2);
    for (const fraction of [0.01, 0.99]) {
      const { train, validation } = splitValidation({ labels: few, fraction, seed: 0 });
      const classes = (part: Int32Array): number[] => [...new Set(Array.from(part, (i) => few[i]!))].sort();
      expect(classes(train)).toEqual([0, 1, 2]);
      expect(classes(validation)).toEqual([0, 1]);
    }
  });
});

describe('a source in memory', () => {
  it('has its groups as labels, and says so when it has none', async () => {
    const image = float32([2, 1, 1, 1], Float32Array.of(0, 1));
    const source = await openSource({ kind: 'memory', image, groups: [1, 0] }, GREY1);
    expect([...labelsOf(source)]).toEqual([1, 0]);
    const bare = await openSource({ kind: 'memory', image }, GREY1);
    expect(() => labelsOf(bare)).toThrow(/no labels/);
  });

  it.each([
    [float32([1, 1, 1, 1], Float32Array.of(1.5)), undefined, /\[0, 1\]/],
    [float32([1, 1, 1, 1], Float32Array.of(Number.NaN)), undefined, /NaN/],
    [float32([2, 1, 1, 1], Float32Array.of(1)), undefined, /disagree/],
    [float32([1, 1, 1, 1], Float32Array.of(1)), [1, 2], /disagree/],
    [float32([1, 1, 1], Float32Array.of(1)), undefined, /must be float32 \[n, height/],
    [float32([1, 1, 1, 2], Float32Array.of(1, 1)), undefined, /must be float32/],
  ])('refuses arrays that are no images (%#)', async (image, groups, message) => {
    const opening = openSource({ kind: 'memory', image, ...(groups ? { groups } : {}) }, GREY1);
    await expect(opening).rejects.toMatchObject({ code: 'data/unreadable', message: expect.stringMatching(message) });
  });

  it('below minExamples is data/too-few-examples', () => {
    expect(() => requireExamples({ length: 3 }, 3)).not.toThrow();
    expect(() => requireExamples({ length: 2 }, 3)).toThrow('holds 2 examples, the plan requires at least 3');
  });
});
