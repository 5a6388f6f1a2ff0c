import { expect, test } from 'vitest';
import { limitsOf } from '../../../server/round-limits.ts';
import { testPlan } from '../../e2e/server-harness.ts';

test('the target is the cohort with its over-selection, and never above the maximum', () => {
  const of = (rounds: object) => limitsOf(testPlan({ rounds: { ...rounds } }), { exchanges: 1 });
  expect(of({ cohort: 10, overSelection: 1.3 })).toMatchObject({
    target: 13,
    cohort: 10,
    minReports: 5,
    startWith: 5,
  });
  expect(of({ cohort: 10, overSelection: 1.3, maxCohort: 11 }).target).toBe(11);
  expect(of({ cohort: 3, trainMs: 1000 }).graceMs).toBe(1000);
});
