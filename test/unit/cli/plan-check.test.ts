import { expect, test } from 'vitest';
import { checkPlan } from '../../../cli/plan-check.ts';
import { testPlan } from '../../e2e/server-harness.ts';

const noised = (cohort: number) =>
  testPlan({
    rounds: { count: 1, cohort, minReports: cohort },
    privacy: { mode: 'secagg+dp', clipNorm: 1, noiseMultiplier: 1, epsilon: 8, delta: 1e-5 },
  });

test('views that are all the same are warned of, where the task compares views', async () => {
  const warned = async (changes: Readonly<Record<string, unknown>>): Promise<string> =>
    (await checkPlan({ plan: testPlan(changes) })).warnings.join('\n');
  const still = { name: 'image' };
  const simclr = { name: 'simclr' };
  expect(await warned({ pretext: simclr, augmentation: still })).toMatch(/the 2 views of an image are the same/);
  expect(await warned({ pretext: simclr, augmentation: { ...still, brightness: 0.2 } })).not.toMatch(/augmentation/);
  expect(await warned({ pretext: { name: 'mae' }, augmentation: still })).not.toMatch(/augmentation/);
});

test('a cohort that is too small for its noise is warned of, a large one not', async () => {
  const warned = async (cohort: number): Promise<string> =>
    (await checkPlan({ plan: noised(cohort) })).warnings.join('\n');
  expect(await warned(5)).toMatch(/privacy.noiseMultiplier: this cohort is too small to be useful/);
  expect(await warned(500)).not.toMatch(/noiseMultiplier/);
});
