import { expect, test } from 'vitest';
import { describeRound } from '../../../cli/progress.ts';
import type { RoundSummary } from '../../../server/events.ts';
import { spentIn, spentSentence } from '../../../simulations/privacy-spent.ts';
import { testPlan } from '../../e2e/server-harness.ts';

const round = (epsilon?: number): RoundSummary =>
  ({ round: 0, ...(epsilon === undefined ? {} : { epsilon, epsilonRdp: epsilon * 1.1 }) }) as RoundSummary;

test('a noised run says its last ε by both accountants, with neighbours and assumptions', () => {
  const noise = { mode: 'secagg+dp', clipNorm: 2, noiseMultiplier: 4, epsilon: 2.4, delta: 1e-5 };
  const plan = testPlan({ rounds: { count: 2, cohort: 5, minReports: 5 }, privacy: noise });
  const { privacySpent } = spentIn(plan, [round(1), round(1.5)]);
  expect(privacySpent).toMatchObject({ pld: { epsilon: 1.5 }, delta: 1e-5, noiseMultiplier: 4 });
  expect(spentSentence(privacySpent!)).toMatch(
    /ε = 1\.500 .* 1\.650 \(Rényi\) at δ = 0\.00001; neighbouring: one participant/,
  );
  expect(describeRound({ round: 1, rounds: 2, cohort: 5, epsilon: 1.5 })).toBe('round 1/2 · 5 participants · ε 1.50');
});

test('a run without noise has no ε', () => {
  expect(spentIn(testPlan(), [round()])).toEqual({});
  expect(describeRound({ round: 1, rounds: 2, cohort: 5 })).not.toContain('ε');
});
