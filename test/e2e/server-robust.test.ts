/** Whole rounds with robust aggregation: a hostile participant within its bounds, and plans that ask for what cannot be. */
import { describe, expect, test } from 'vitest';
import { modelOf } from '../../learning/model.ts';
import { flatten } from '../../protocol/flatten.ts';
import type { Plan } from '../../protocol/plan.ts';
import { harness, parametersOf, participants, testPlan, type Update, updateOf } from './server-harness.ts';

const ROUNDS = { count: 1, cohort: 5, minReports: 5 };
const robust = (aggregator: object): Plan =>
  testPlan({ rounds: ROUNDS, privacy: { clipNorm: 20, weights: 'uniform', aggregator } });

/** How far a round moves the model, when the first of five sends a vector of the clipping norm in a direction of its own. */
async function poisonedRound(plan: Plan) {
  const at = await harness(plan);
  const run = at.coordinator.run();
  const people = await participants(at, 5);
  const poison = (update: Update): Update => ({ ...update, delta: update.delta.map(() => 1e3) });
  const updates = people.map((p, k) => (k === 0 ? poison(updateOf(p, 0)) : updateOf(p, 0)));
  await Promise.all(
    people.map(async (p, k) => {
      await p.signIn();
      await p.report(await p.offer(), updates[k]!);
    }),
  );
  const { model } = await run;
  await at.coordinator.stop();
  const before = flatten(modelOf(plan).init(plan.seed), modelOf(plan).aggregated);
  const moved = parametersOf(plan, model).map((x, i) => x - before[i]!);
  return { moved, honest: updates.slice(1).map(({ delta }) => delta) };
}

/** The mean share of the poison's direction in a vector. */
const along = (x: Float32Array): number => x.reduce((a, b) => a + b, 0) / Math.sqrt(x.length);

describe('a round with one hostile participant of five', () => {
  test('goes its way under the mean', async () => {
    const { moved } = await poisonedRound(robust({ name: 'mean' }));
    expect(along(moved)).toBeGreaterThan(3);
  });

  test.each([
    { name: 'median' },
    { name: 'trimmed-mean', trim: 0.2 },
    { name: 'multi-krum', byzantine: 1 },
    { name: 'geometric-median' },
  ])('goes the way of the honest under $name', async (aggregator) => {
    const { moved, honest } = await poisonedRound(robust(aggregator));
    expect(Math.abs(along(moved))).toBeLessThan(0.5);
    if (aggregator.name === 'median') {
      // the middle of five of which one is far above: the upper middle of the four others
      const expected = moved.map((_, i) => Float32Array.from(honest, (delta) => delta[i]!).sort()[2]!);
      for (const [i, x] of expected.entries()) expect(Math.abs(moved[i]! - x)).toBeLessThan(1e-6);
    }
  });
});

describe('plans', () => {
  const refused = (privacy: object, rounds: object = ROUNDS, more: object = {}) =>
    expect(() => testPlan({ rounds: { ...rounds }, privacy: { ...privacy }, ...more }));
  test('with masks and an aggregator are refused, saying why', () => {
    for (const mode of ['secagg', 'secagg+dp']) {
      refused({ mode, clipNorm: 1, aggregator: { name: 'median' } }).toThrow(
        expect.objectContaining({
          code: 'plan/refused',
          message: expect.stringMatching(/one by one, and under secagg/),
        }),
      );
    }
  });

  test('in which weights could be claimed, rounds are too small, or memory is not bounded are refused', () => {
    refused({ aggregator: { name: 'median' } }).toThrow(/privacy.weights/);
    refused({ weights: 'uniform', aggregator: { name: 'multi-krum', byzantine: 2 } }).toThrow(/needs 7 reports/);
    const vast = { encoder: { name: 'mlp', hidden: [4096, 4096], dim: 8 } };
    refused({ weights: 'uniform', aggregator: { name: 'median' } }, { count: 1, cohort: 100 }, vast).toThrow(/GiB/);
    refused({ weights: 'uniform' }, { count: 1, cohort: 100 }, vast).not.toThrow();
  });
});
