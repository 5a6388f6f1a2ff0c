import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addWords, checkReport, decodeSum, encodeReport, scaleOf } from '../../../protocol/fixed-point.ts';
import { type Plan, parsePlan } from '../../../protocol/plan.ts';
import { buildReport, clip, openSum, REPORT_STEPS } from '../../../protocol/report.ts';
import { exchangesOf } from '../../../protocol/sections.ts';
import { weightOf } from '../../../protocol/weighting.ts';
import { type Participant, weightedMeans } from '../../reference/report.ts';

const RANGE = [-1, 5] as const;
const DIMENSION = 6;

const planWith = (privacy: object = {}, maxCohort = 12): Plan =>
  parsePlan({
    version: 1,
    task: 'test',
    data: { shape: [8, 8, 1] },
    encoder: { name: 'mlp' },
    pretext: { name: 'spectral' },
    augmentation: { name: 'none' },
    training: { steps: 1, batch: 2, optimiser: { name: 'sgd', learningRate: 0.1 } },
    rounds: { count: 1, cohort: 10, maxCohort },
    privacy: { mode: 'sealed', clipNorm: 0.8, maxExamples: 100, ...privacy },
  });
const plan = planWith();
const exchange = exchangesOf(plan, { dimension: DIMENSION, lossRange: RANGE })[0]!;

const participant: fc.Arbitrary<Participant> = fc.record({
  delta: fc.array(fc.float({ min: -2, max: 2, noNaN: true }), { minLength: DIMENSION, maxLength: DIMENSION }),
  loss: fc.float({ min: -3, max: 8, noNaN: true }),
  examples: fc.integer({ min: 1, max: 300 }),
});
const valuesOf = ({ delta, loss }: Participant) => ({
  delta: Float32Array.from(delta),
  'metrics/loss': Float32Array.of(loss),
});

test('[FP4] the mean of opened reports is the weighted mean of the clipped deltas, to fixed-point accuracy', () => {
  fc.assert(
    fc.property(fc.array(participant, { minLength: 1, maxLength: 12 }), (participants) => {
      const sum = new Int32Array(DIMENSION + 2);
      for (const p of participants) {
        const words = buildReport(plan, exchange, valuesOf(p), p.examples);
        checkReport(exchange, words, plan.rounds.maxCohort);
        addWords(sum, words);
      }
      const opened = openSum(plan, exchange, sum);
      const expected = weightedMeans(participants, { clipNorm: 0.8, maxExamples: 100, range: RANGE });
      const unit = (section: number) => 1 / scaleOf(exchange.sections[section]!, 12);
      expect(opened.weight).toBeCloseTo(expected.weight, 6);
      // each of n roundings is off by at most half a unit; the means are stored as float32
      const tolerance = (participants.length * unit(0)) / expected.weight + 1e-7;
      for (const [i, value] of expected.delta.entries()) {
        expect(Math.abs(opened.sections.delta![i]! - value)).toBeLessThanOrEqual(tolerance);
      }
      const span = RANGE[1] - RANGE[0];
      expect(Math.abs(opened.metrics.loss! - expected.loss)).toBeLessThanOrEqual(span * tolerance * 2);
    }),
  );
});

describe('[RP4] clipping', () => {
  const values = (...delta: number[]) => ({ delta: Float32Array.from(delta), 'metrics/loss': Float32Array.of(9) });
  test('shortens to the norm and keeps the direction', () => {
    const clipped = clip(exchange, values(3, 4, 0, 0, 0, 0));
    expect(clipped.delta![0]).toBeCloseTo(0.48, 12);
    expect(clipped.delta![1]).toBeCloseTo(0.64, 12);
    expect(clipped['metrics/loss']![0]).toBe(9);
  });
  test('leaves what is short enough bit for bit', () => {
    const input = values(0.1, 0.2, 0, 0, 0, -0.3);
    expect(clip(exchange, input).delta).toBe(input.delta);
  });
  test('takes the sections of one group together', () => {
    const two = {
      ...exchange,
      sections: [exchange.sections[0]!, { ...exchange.sections[0]!, name: 'controls', length: 1 }].map((section) => ({
        ...section,
        bound: 1,
      })),
    };
    const clipped = clip(two, { delta: Float32Array.of(3, 0, 0, 0, 0, 0), controls: Float32Array.of(4) });
    expect(clipped.delta![0]).toBeCloseTo(0.6, 12);
    expect(clipped.controls![0]).toBeCloseTo(0.8, 12);
  });
});

describe('[RP6] weights', () => {
  test('are examples over maxExamples, at most 1, or all 1', () => {
    expect([1, 50, 100, 1000].map((n) => weightOf(plan, n))).toEqual([0.01, 0.5, 1, 1]);
    expect(weightOf(planWith({ weights: 'uniform' }), 1)).toBe(1);
    for (const bad of [0, -1, 1.5, Number.NaN]) expect(() => weightOf(plan, bad)).toThrow(RangeError);
  });
});

test('the steps in their order; encodeReport and decodeSum are the last three', () => {
  expect(REPORT_STEPS.map(({ name }) => name)).toEqual(['clip', 'metrics', 'weight', 'fixed-point']);
  const p: Participant = { delta: [0.1, -0.2, 0.3, 0, 0, 0.05], loss: 2, examples: 37 };
  const words = buildReport(plan, exchange, valuesOf(p), p.examples);
  expect(words).toEqual(encodeReport(exchange, valuesOf(p), 0.37, 12));
  const opened = openSum(plan, exchange, words);
  expect(opened.sections.delta).toEqual(decodeSum(exchange, words, 12).delta);
  expect(Object.keys(opened.sections)).toEqual(['delta']);
});

test('the same values give the same words', () => {
  fc.assert(
    fc.property(participant, (p) => {
      expect(buildReport(plan, exchange, valuesOf(p), p.examples)).toEqual(
        buildReport(plan, exchange, { ...valuesOf(p) }, p.examples),
      );
    }),
    { numRuns: 20 },
  );
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])('[RP7] a delta with %d is never sent', (bad) => {
  const values = { delta: Float32Array.of(0, 0, 0, 0, 0, bad), 'metrics/loss': Float32Array.of(1) };
  expect(() => buildReport(plan, exchange, values, 10)).toThrow(expect.objectContaining({ code: 'report/not-finite' }));
});
