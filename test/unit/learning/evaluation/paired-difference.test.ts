import { describe, expect, it } from 'vitest';
import { labelCurve, scoredCurve } from '../../../../learning/evaluation/label-budget.ts';
import { pairedDifferences } from '../../../../learning/evaluation/paired-difference.ts';
import { type Rng, stream } from '../../../../protocol/random.ts';

const DRAWS = 6;
const IMAGES = 40;
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Hits of two ways of training whose difference has an effect of the draw, one of the image, and a rest. */
function experiment(random: Rng): { a: Uint8Array[]; b: Uint8Array[] } {
  const image = Array.from({ length: IMAGES }, () => random.normal());
  const draw = Array.from({ length: DRAWS }, () => random.normal());
  const one = (lead: number): Uint8Array[] =>
    draw.map((d) => Uint8Array.from(image, (n) => (0.3 + lead * (d + n) + 0.5 * random.normal() > 0 ? 1 : 0)));
  return { a: one(0.5), b: one(-0.5) };
}

const difference = ({ a, b }: { a: Uint8Array[]; b: Uint8Array[] }) =>
  pairedDifferences(scoredCurve([a]), scoredCurve([b]))[0]!;

describe('pairedDifferences', () => {
  it('is the mean of the paired draws, and over draws has their standard error', () => {
    const { a, b } = experiment(stream(1, 'hits'));
    const [left, right] = [scoredCurve([a]), scoredCurve([b])];
    const { mean, sd } = labelCurve([left.draws[0]!.map((x, j) => x - right.draws[0]![j]!)]);
    const found = difference({ a, b });
    expect(found.mean).toBeCloseTo(mean[0]!, 12);
    expect(found.overDraws).toBeCloseTo(sd[0]! / Math.sqrt(DRAWS), 12);
  });

  it('over draws and images is the analysis of variance, written out', () => {
    const { a, b } = experiment(stream(2, 'hits'));
    const cell = (j: number, n: number): number => a[j]![n]! - b[j]![n]!;
    const row = a.map((_, j) => sum(Array.from({ length: IMAGES }, (_, n) => cell(j, n))) / IMAGES);
    const column = Array.from({ length: IMAGES }, (_, n) => sum(a.map((_, j) => cell(j, n))) / DRAWS);
    const mean = sum(row) / DRAWS;
    let rest = 0;
    for (let j = 0; j < DRAWS; j++)
      for (let n = 0; n < IMAGES; n++) rest += (cell(j, n) - row[j]! - column[n]! + mean) ** 2;
    const ofDraw = (IMAGES * sum(row.map((x) => (x - mean) ** 2))) / (DRAWS - 1);
    const ofImage = (DRAWS * sum(column.map((x) => (x - mean) ** 2))) / (IMAGES - 1);
    const ofRest = rest / ((DRAWS - 1) * (IMAGES - 1));
    const expected = Math.sqrt((ofDraw + ofImage - ofRest) / (DRAWS * IMAGES));
    expect(difference({ a, b }).overDrawsAndImages).toBeCloseTo(expected, 12);
  });

  it('its square is the variance of the mean when draws and images are drawn anew; that over draws alone is too small', () => {
    const random = stream(3, 'hits');
    const found = Array.from({ length: 400 }, () => difference(experiment(random)));
    const means = labelCurve([found.map(({ mean }) => mean)]);
    const variance = means.sd[0]! ** 2;
    const averaged = (key: 'overDraws' | 'overDrawsAndImages'): number =>
      sum(found.map((f) => f[key] ** 2)) / found.length;
    expect(averaged('overDrawsAndImages') / variance).toBeGreaterThan(0.8);
    expect(averaged('overDrawsAndImages') / variance).toBeLessThan(1.25);
    expect(averaged('overDraws') / variance).toBeLessThan(0.95);
  });

  it('is nothing between a curve and itself, and over one draw comes from the images alone', () => {
    const { a, b } = experiment(stream(4, 'hits'));
    expect(difference({ a, b: a })).toEqual({ mean: 0, overDraws: 0, overDrawsAndImages: 0 });
    const { mean, sd } = labelCurve([Array.from(a[0]!, (hit, n) => hit - b[0]![n]!)]);
    const one = difference({ a: a.slice(0, 1), b: b.slice(0, 1) });
    expect(one.mean).toBeCloseTo(mean[0]!, 12);
    expect(one.overDraws).toBe(0);
    expect(one.overDrawsAndImages).toBeCloseTo(sd[0]! / Math.sqrt(IMAGES), 12);
  });

  it('refuses curves of other draws or images', () => {
    const { a, b } = experiment(stream(5, 'hits'));
    expect(() => difference({ a, b: b.slice(1) })).toThrow(RangeError);
    expect(() => difference({ a, b: b.map((right) => right.slice(1)) })).toThrow(RangeError);
    expect(() => pairedDifferences(scoredCurve([a]), scoredCurve([]))).toThrow(RangeError);
  });
});
