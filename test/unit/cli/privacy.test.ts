import { expect, test } from 'vitest';
import { planPrivacy, renderPrivacyPlan, renderSpent, spentPrivacy } from '../../../cli/privacy.ts';

const question = { epsilon: 8, delta: 1e-5, rounds: 100, sampling: 1, clip: 1 };

test('a budget is answered with the noise that uses it up', () => {
  const answer = planPrivacy(question);
  expect(answer.pld.epsilon).toBeGreaterThan(7.999);
  expect(answer.pld.epsilon).toBeLessThanOrEqual(8);
  expect(answer.rdp.epsilon).toBeGreaterThan(8);
  expect(answer.verdict).toBeUndefined();
  expect(renderPrivacyPlan(answer)).toMatch(/^noise multiplier +6\.\d+/);
});

test('a cohort that is too small is called so, with what would do', () => {
  const small = planPrivacy({ ...question, participants: 10, dimension: 93_120 });
  expect(small.verdict).toMatchObject({ verdict: 'useless' });
  expect(small.verdict!.noiseToSignal).toBeCloseTo((small.noiseMultiplier * Math.sqrt(93_120)) / 10, 9);
  expect(renderPrivacyPlan(small)).toMatch(/this cohort is too small to be useful/);
  const { participantsNeeded } = small.verdict!;
  const large = planPrivacy({ ...question, delta: 1e-6, participants: 2 * participantsNeeded, dimension: 93_120 });
  expect(large.verdict!.verdict).toBe('useful');
});

test('δ that is not below one in the number of participants is warned of', () => {
  const spent = (delta: number, participants: number): string => {
    const asked = { noiseMultiplier: 2, sampling: 1, rounds: 10, delta, participants };
    return renderSpent(spentPrivacy(asked), asked);
  };
  expect(spent(1e-3, 1000)).toMatch(/warning: δ = 0.001 is not below/);
  expect(spent(1e-4, 1000)).not.toMatch(/warning/);
});
