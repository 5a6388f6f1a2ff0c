/** Sums of masked reports: those of honest reports always pass, and none passes whose mean is longer than one report may be. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { modelOf } from '../../../learning/model.ts';
import { addWords, quantise } from '../../../protocol/fixed-point.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { buildReport, openSum } from '../../../protocol/report.ts';
import { type Exchange, exchangesOf, wordsOf } from '../../../protocol/sections.ts';
import { checkSum } from '../../../protocol/sum-check.ts';
import { testPlan } from '../../e2e/server-harness.ts';

const CLIP = 2;
const planWith = (weights: 'examples' | 'uniform'): Plan =>
  testPlan({
    rounds: { count: 1, cohort: 5, maxCohort: 8, minReports: 5 },
    privacy: { mode: 'secagg', clipNorm: CLIP, weights, maxExamples: 50 },
  });
const exchangeOf = (plan: Plan): Exchange => exchangesOf(plan, modelOf(plan).reportShape)[0]!;

/** An update of this length in every coordinate. */
const update = (exchange: Exchange, value: number) => ({
  delta: new Float32Array(exchange.sections[0]!.length).fill(value),
  'metrics/loss': Float32Array.of(-0.5),
});
const sumOf = (exchange: Exchange, reports: readonly Int32Array[]): Int32Array => {
  const sum = new Int32Array(wordsOf(exchange));
  for (const words of reports) addWords(sum, words);
  return sum;
};
const normOf = (values: Float32Array): number => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
const refusal = expect.objectContaining({ code: 'report/out-of-bounds' });

describe.each(['examples', 'uniform'] as const)('a sum of reports with weights "%s"', (weights) => {
  const plan = planWith(weights);
  const exchange = exchangeOf(plan);

  test('of honest reports passes, whatever their lengths and weights', () => {
    const report = fc.tuple(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: 1, max: 100 }));
    fc.assert(
      fc.property(fc.array(report, { minLength: 1, maxLength: 8 }), (given) => {
        const reports = given.map(([value, examples]) =>
          buildReport(plan, exchange, update(exchange, value), examples),
        );
        checkSum(plan, exchange, sumOf(exchange, reports), reports.length);
      }),
      { numRuns: 40 },
    );
    // all alike and at the bounds
    const longest = buildReport(plan, exchange, update(exchange, 1e6), 50);
    checkSum(plan, exchange, sumOf(exchange, new Array(8).fill(longest)), 8);
    const shortest = buildReport(plan, exchange, update(exchange, 1e6), 1);
    checkSum(plan, exchange, sumOf(exchange, new Array(8).fill(shortest)), 8);
  });

  test('of which one takes the weight away from the others does not, though each word is small', () => {
    const honest = Array.from({ length: 4 }, () => buildReport(plan, exchange, update(exchange, 0.01), 50));
    const sum = sumOf(exchange, honest);
    const at = exchange.sections[0]!.length;
    expect(exchange.sections[1]!.name).toBe('weight');
    // the fifth has words of nothing but a negative weight, so that the weights of five add up to almost nothing
    const poisoned = sum.slice();
    poisoned[at] = 5;
    const { sections } = openSum(plan, exchange, poisoned);
    expect(normOf(sections.delta!)).toBeGreaterThan(1e5 * CLIP);
    expect(() => checkSum(plan, exchange, poisoned, 5)).toThrow(refusal);
    // and whatever weight passes, the mean is no longer than one update may be
    for (let weight = sum[at]!; weight > 0; weight = Math.floor(weight / 1.5)) {
      poisoned[at] = weight;
      try {
        checkSum(plan, exchange, poisoned, 5);
      } catch {
        continue;
      }
      expect(normOf(openSum(plan, exchange, poisoned).sections.delta!)).toBeLessThanOrEqual(1.01 * CLIP);
    }
  });

  test('does not pass with a word, a length, a metric or a number of reports beyond what there can be', () => {
    const reports = Array.from({ length: 5 }, () => buildReport(plan, exchange, update(exchange, 0.01), 50));
    const sum = sumOf(exchange, reports);
    const changed = (index: number, word: number): Int32Array => {
      const copy = sum.slice();
      copy[index] = word;
      return copy;
    };
    const length = exchange.sections[0]!.length;
    const unit = quantise(exchange, { ...update(exchange, CLIP), weight: Float32Array.of(1) }, 1, 8)[0]!;
    checkSum(plan, exchange, changed(0, 4 * unit), 5);
    expect(() => checkSum(plan, exchange, changed(0, 6 * unit), 5)).toThrow(refusal);
    expect(() => checkSum(plan, exchange, sum.slice().fill(unit, 0, length), 5)).toThrow(refusal);
    expect(() => checkSum(plan, exchange, changed(length + 1, -1), 5)).toThrow(refusal);
    expect(() => checkSum(plan, exchange, changed(length, sum[length]! + 9), 5)).toThrow(refusal);
    expect(() => checkSum(plan, exchange, sum.subarray(1), 5)).toThrow(
      expect.objectContaining({ code: 'report/malformed' }),
    );
    expect(() => checkSum(plan, exchange, sum, 9)).toThrow();
  });
});
