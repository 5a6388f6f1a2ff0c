import { expect, test } from 'vitest';
import { checkPlan } from '../../../cli/plan-check.ts';
import { testPlan } from '../../e2e/server-harness.ts';

const noised = (cohort: number) =>
  testPlan({
    rounds: { count: 1, cohort, minReports: cohort },
    privacy: { mode: 'secagg+dp', clipNorm: 1, noiseMultiplier: 1, epsilon: 8, delta: 1e-5 },
  });

test('a cohort that is too small for its noise is warned of, a large one not', async () => {
  const warned = async (cohort: number): Promise<string> =>
    (await checkPlan({ plan: noised(cohort) })).warnings.join('\n');
  expect(await warned(5)).toMatch(/privacy.noiseMultiplier: this cohort is too small to be useful/);
  expect(await warned(500)).not.toMatch(/noiseMultiplier/);
});
