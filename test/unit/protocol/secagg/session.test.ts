/** Whole sessions of both sides: the sum is exact over exactly those whose masked words came in. */
import { describe, expect, test } from 'vitest';
import { stream } from '../../../../protocol/random.ts';
import { toleratedDropouts } from '../../../../protocol/secagg/rules.ts';
import { openCohort, plainSum, play, type Step } from '../../../fixtures/secagg.ts';

const others = (lost: readonly number[], n: number): number[] =>
  Array.from({ length: n }, (_, i) => i).filter((i) => !lost.includes(i));

describe('exact sums', () => {
  test.each([3, 4, 7, 13])('[SA1] %i participants, nobody lost', async (n) => {
    const terms = { minCohort: n, allowNoDropout: true };
    const cohort = await openCohort({ participants: n, minCohort: n, server: terms, participant: () => terms });
    const [opened] = await play(cohort);
    expect(opened!.participants.length).toBe(n);
    expect([...opened!.sum]).toEqual([...plainSum(cohort, opened!.participants, 0)]);
    expect(cohort.server.faults()).toEqual([]);
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

  test('[SA2] P1 any cohort, words and losses', async () => {
    for (let seed = 0; seed < 4; seed++) {
      const rng = stream(seed, 'secagg/any-losses');
      const n = 4 + rng.below(9);
      const exchanges = Array.from({ length: 1 + rng.below(3) }, () => 1 + rng.below(300));
      const cohort = await openCohort({ participants: n, exchanges });
      let left = rng.below(toleratedDropouts(n) + 1);
      const gone = new Set<number>();
      const lost = (_: Step, i: number): boolean => {
        if (left > 0 && !gone.has(i) && rng.next() < 0.1) {
          left -= 1;
          gone.add(i);
        }
        return gone.has(i);
      };
      // once the coordinator has the roster, so that those who are lost count against its threshold
      const opened = await play(cohort, { lost: (step, i, e) => step !== 'advertise' && lost(step, i) && e >= 0 });
      expect(opened.length).toBe(exchanges.length);
      for (const [e, sum] of opened.entries()) {
        expect(sum.participants.length).toBeGreaterThanOrEqual(n - gone.size);
        expect([...sum.sum], `seed ${seed}`).toEqual([...plainSum(cohort, sum.participants, e)]);
      }
    }
  });

  test('[SA10] who is lost in one exchange is out of the next, which has keys of its own', async () => {
    const cohort = await openCohort({ participants: 7, exchanges: [20, 30] });
    const [first, second] = await play(cohort, { lost: (step, i, e) => step === 'mask' && i === 2 + e });
    expect(first!.participants.length).toBe(6);
    expect(second!.participants.length).toBe(5);
    expect([...first!.sum]).toEqual([...plainSum(cohort, first!.participants, 0)]);
    expect([...second!.sum]).toEqual([...plainSum(cohort, second!.participants, 1)]);
  });

  test('one more than may be lost: a clean failure at every stage', async () => {
    for (const step of ['share', 'mask', 'agree', 'unmask'] as const) {
      const cohort = await openCohort({ participants: 7 });
      const code = step === 'unmask' ? 'secagg/unrecoverable' : 'round/too-few-participants';
      const lost = (s: Step, i: number): boolean => s === step && i < 3;
      await expect(play(cohort, { lost })).rejects.toMatchObject({ code });
    }
  });
});

describe('[SA4] groups', () => {
  test('drawn from the roster, each a session of its own, whose sums add', async () => {
    const cohort = await openCohort({
      participants: 11,
      maxGroup: 4,
      minCohort: 3,
      server: { allowNoDropout: true },
      participant: () => ({ allowNoDropout: true }),
    });
    const [opened] = await play(cohort);
    expect(opened!.participants.length).toBe(11);
    expect([...opened!.sum]).toEqual([...plainSum(cohort, opened!.participants, 0)]);
    const groups = new Set(cohort.members.map(({ session }) => session.group.join()));
    expect(groups.size).toBe(3);
    const sorted = cohort.members.map(({ identity }) => identity.id);
    expect([...groups].map((group) => group.split(',').length).sort()).toEqual([3, 4, 4]);
    expect([...groups]).not.toContain(sorted.slice(0, 4).join());
  });

  test('a plan’s minimum is the round’s: groups are smaller, and bear losses', async () => {
    const cohort = await openCohort({ participants: 13, maxGroup: 8, minCohort: 9 });
    let gone: readonly string[] = [];
    const [opened] = await play(cohort, {
      lost: (step, i) => {
        if (step !== 'mask') return false;
        if (gone.length === 0) gone = cohort.members[0]!.session.group.slice(0, 1);
        return gone.includes(cohort.members[i]!.identity.id);
      },
    });
    expect(opened!.participants.length).toBe(12);
    expect([...opened!.sum]).toEqual([...plainSum(cohort, opened!.participants, 0)]);
  });

  test('a group that gets too small is left out, the others are opened', async () => {
    const cohort = await openCohort({ participants: 12, maxGroup: 6 });
    let doomed: readonly string[] = [];
    const [opened] = await play(cohort, {
      lost: (step, i) => {
        if (step !== 'mask') return false;
        if (doomed.length === 0) doomed = cohort.members[0]!.session.group.slice(0, 3);
        return doomed.includes(cohort.members[i]!.identity.id);
      },
    });
    expect(opened!.participants.length).toBe(6);
    expect([...opened!.sum]).toEqual([...plainSum(cohort, opened!.participants, 0)]);
  });
});
