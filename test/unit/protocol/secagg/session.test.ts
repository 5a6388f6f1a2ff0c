/** Whole sessions of both sides: the sum is exact over exactly those whose masked words came in. */
import { describe, expect, test } from 'vitest';
import { toleratedDropouts } from '../../../../protocol/secagg/rules.ts';
import { openCohort, plainSum, play, type Step } from '../../../fixtures/secagg.ts';

const others = (lost: readonly number[], n: number): number[] =>
  Array.from({ length: n }, (_, i) => i).filter((i) => !lost.includes(i));

describe('exact sums', () => {
  test.each([3, 4, 5, 7, 10, 23])('[SA1] %i participants, nobody lost', async (n) => {
    const terms = { minCohort: n, allowNoDropout: true };
    const cohort = await openCohort({ participants: n, minCohort: n, server: terms, participant: () => terms });
    const [opened] = await play(cohort);
    expect(opened!.participants.length).toBe(n);
    expect([...opened!.sum]).toEqual([...plainSum(cohort, opened!.participants, 0)]);
    expect(opened!.blamed).toEqual([]);
    expect(cohort.members.every(({ session }) => session.phase === 'finished')).toBe(true);
  });

  test.each<[Step, readonly number[]]>([
    ['share', [0, 4, 9]],
    ['receive', [0, 4, 9]],
    ['mask', [1, 2, 3]],
    ['agree', [0, 8, 9]],
    ['unmask', [2, 5, 7]],
  ])('[SA2] as many as may are lost before %s', async (step, lost) => {
    const cohort = await openCohort({ participants: 10 });
    expect(lost.length).toBe(toleratedDropouts(10));
    const [opened] = await play(cohort, { lost: (s, i) => s === step && lost.includes(i) });
    const inSum = step === 'agree' || step === 'unmask' ? others([], 10) : others(lost, 10);
    expect(opened!.participants).toEqual(inSum.map((i) => cohort.members[i]!.identity.id));
    expect([...opened!.sum]).toEqual([...plainSum(cohort, opened!.participants, 0)]);
  });
});
