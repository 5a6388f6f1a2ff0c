/** The rules without cryptography: counts, sets, and what a participant reveals to any coordinator whatsoever. */
import { describe, expect, test } from 'vitest';
import { type Rng, stream } from '../../../../protocol/random.ts';
import {
  arrive,
  checkTurn,
  close,
  type GroupState,
  isEnough,
  openGroup,
} from '../../../../protocol/secagg/group-state.ts';
import {
  advance,
  type ParticipantEvent,
  type ParticipantState,
} from '../../../../protocol/secagg/participant-state.ts';
import {
  admissible,
  answersNeeded,
  checkAgreed,
  checkMembers,
  checkRoster,
  checkSurvivors,
  checkTerms,
  colludersOf,
  everyone,
  floorOf,
  groupSizes,
  leastGroup,
  leastInSum,
  revealOf,
  sharesOf,
  thresholdOf,
  toleratedDropouts,
} from '../../../../protocol/secagg/rules.ts';

const code = (expected: string) => expect.objectContaining({ code: expected });
const floors = { minCohort: 4, policyMinCohort: 3, maxCohort: 300 };

describe('counts', () => {
  test('[SA1] the threshold and what it tolerates', () => {
    expect([3, 4, 6, 7, 9, 10, 100, 128].map(thresholdOf)).toEqual([3, 3, 5, 5, 7, 7, 67, 86]);
    expect([3, 4, 5, 6, 7, 8, 9, 10, 100].map(toleratedDropouts)).toEqual([0, 1, 1, 1, 2, 2, 2, 3, 33]);
  });

  test('[SA1] an honest majority of shares: 2t > n + n_C for every n', () => {
    for (let n = 1; n <= 300; n++) {
      expect(2 * thresholdOf(n)).toBeGreaterThan(n + colludersOf(n));
      expect(thresholdOf(n)).toBeLessThanOrEqual(n);
    }
  });

  test('[SA1] a group of 256 has 255 shares, and one more must answer', () => {
    expect([sharesOf(255), sharesOf(256)]).toEqual([255, 255]);
    expect([answersNeeded(255), answersNeeded(256)]).toEqual([171, 172]);
  });

  test('[SA1] the greatest of all floors holds', () => {
    expect(floorOf({ minCohort: 0, maxCohort: 9 }, 9)).toBe(3);
    expect(floorOf({ minCohort: 5, policyMinCohort: 8, maxCohort: 9 }, 9)).toBe(8);
    expect(floorOf({ minCohort: 10, policyMinCohort: 8, maxCohort: 20 }, 12)).toBe(10);
    expect(floorOf({ minCohort: 100, policyMinCohort: 8, maxCohort: 200 }, 128)).toBe(100);
    expect(floorOf({ minCohort: 100, policyMinCohort: 8, maxCohort: 200 }, 129)).toBe(43);
    expect(floorOf({ minCohort: 20, policyMinCohort: 8, maxCohort: 200 }, 129)).toBe(20);
    expect(floorOf({ minCohort: 100, policyMinCohort: 50, maxCohort: 200 }, 129)).toBe(50);
  });

  test('[SA1] terms under which no session can hold are refused', () => {
    const refuses = (change: object, exchanges = [1]) =>
      expect(() => checkTerms({ ...floors, ...change }, exchanges)).toThrow(code('plan/refused'));
    refuses({ minCohort: 2 });
    refuses({ minCohort: 3 });
    refuses({ maxGroup: 257 });
    refuses({ maxGroup: 5, policyMinCohort: 6 });
    refuses({ maxCohort: 3 });
    refuses({ minCohort: 200, maxCohort: 199 });
    refuses({ policyMinCohort: 129 });
    expect(() => checkTerms({ ...floors, minCohort: 200 }, [1])).not.toThrow();
    expect(() => checkTerms({ ...floors, minCohort: 3, allowNoDropout: true }, [1])).not.toThrow();
    for (const exchanges of [[], [0], [1.5], Array(257).fill(1)]) {
      expect(() => checkTerms(floors, exchanges)).toThrow(RangeError);
    }
  });
});

describe('groups', () => {
  test('[SA4] as few as there can be, as equal as they can be', () => {
    expect(groupSizes(128, 128)).toEqual([128]);
    expect(groupSizes(129, 128)).toEqual([65, 64]);
    expect(groupSizes(300, 128)).toEqual([100, 100, 100]);
    for (let n = 1; n < 900; n++) {
      const sizes = groupSizes(n, 128);
      expect(sizes.reduce((a, b) => a + b)).toBe(n);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(128);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }
  });

  test('[SA4] none below the floor: some are left out instead', () => {
    expect(admissible(3, floors)).toBe(0);
    expect(admissible(4, floors)).toBe(4);
    expect(admissible(500, floors)).toBe(300);
    expect(admissible(129, { ...floors, policyMinCohort: 100 })).toBe(128);
    expect(admissible(200, { ...floors, policyMinCohort: 100 })).toBe(200);
    expect(admissible(99, { ...floors, minCohort: 100 })).toBe(0);
    expect(admissible(5, { ...floors, maxGroup: 4 })).toBe(4);
  });

  test('[SA1] [SA4] a plan’s minimum is the round’s: nobody of a large roster is left out for it, and every group may lose as many as it can bear', () => {
    for (const minCohort of [4, 20, 43, 44, 64, 100, 128, 150]) {
      for (let n = Math.max(129, minCohort); n <= 1135; n += 7) {
        const terms = { minCohort, maxCohort: 1135 };
        expect(admissible(n, terms)).toBe(n);
        for (const size of groupSizes(n, 128)) expect(floorOf(terms, n)).toBeLessThanOrEqual(answersNeeded(size));
      }
    }
  });

  test('[DP3] no roster that a plan allows has a smaller group, opens a sum of fewer, or leaves fewer honest ones than is said', () => {
    for (const maxCohort of [12, 128, 129, 300]) {
      for (const minReports of [4, 9, 43, 50, 64, 65, 100, 129, 200].filter((m) => m <= maxCohort)) {
        const rounds = { minReports, maxCohort };
        const honest = (size: number): number => thresholdOf(size) - colludersOf(size);
        for (let n = minReports; n <= maxCohort; n++) {
          for (const size of groupSizes(n, 128)) {
            const left = Math.max(answersNeeded(size), floorOf({ minCohort: minReports, maxCohort }, n));
            expect(size).toBeGreaterThanOrEqual(leastGroup(rounds));
            expect(left).toBeGreaterThanOrEqual(leastInSum(rounds));
            expect(honest(size)).toBeGreaterThanOrEqual(honest(leastGroup(rounds)));
          }
        }
      }
    }
    expect(leastGroup({ minReports: 100, maxCohort: 300 })).toBe(64);
    expect(leastInSum({ minReports: 100, maxCohort: 300 })).toBe(43);
    expect(leastInSum({ minReports: 100, maxCohort: 128 })).toBe(100);
  });
});

describe('sets', () => {
  const entry = (identity: string, ...keys: string[]) => ({ identity, keys });
  const roster = ['a', 'b', 'c', 'd', 'e'].map((id) => entry(id, `s${id}`, `c${id}`));
  const self = roster[2]!;

  test('[SA3] a roster as it must be, and one’s own place', () => {
    expect(checkRoster(roster, self, floors)).toBe(2);
  });

  test('[SA3] A7 a roster of too few', () => {
    expect(() => checkRoster(roster.slice(0, 3), self, floors)).toThrow(code('round/too-few-participants'));
    const cut = { ...floors, minCohort: 6, maxGroup: 3 };
    expect(() => checkRoster(roster, self, cut)).toThrow(code('round/too-few-participants'));
    expect(() => checkRoster(roster, self, { ...floors, policyMinCohort: 6 })).toThrow(
      code('round/too-few-participants'),
    );
    expect(() => checkRoster([], self, floors)).toThrow(code('round/too-few-participants'));
  });

  test('[SA3] a roster of more than the scale has room for', () => {
    expect(() => checkRoster(roster, self, { ...floors, maxCohort: 4 })).toThrow(code('secagg/refused'));
  });

  test('[SA3] A12 doubles, disorder, and a roster without oneself', () => {
    const refuses = (entries: typeof roster) =>
      expect(() => checkRoster(entries, self, floors)).toThrow(code('secagg/refused'));
    refuses([...roster, roster[4]!]);
    refuses([roster[1]!, roster[0]!, ...roster.slice(2)]);
    refuses(roster.filter((one) => one !== self));
    refuses([...roster.slice(0, 4), entry('e', 'sa', 'ce')]);
    refuses([...roster.slice(0, 4), entry('e', 'ca', 'ce')]);
    refuses([...roster.slice(0, 4), entry('e', 'x', 'x')]);
    refuses(roster.map((one) => (one === self ? entry('c', 'other', 'cc') : one)));
  });

  const group = { size: 10, self: 3, floor: 4 };
  const without = (...lost: number[]) => everyone(10).filter((v) => !lost.includes(v));

  test('[SA5] A7 members: part of the roster, with oneself, at least t and the floor', () => {
    checkMembers(group, everyone(10));
    checkMembers(group, without(0, 1, 2));
    for (const bad of [without(3), [...without(0), 10], [1, ...without(1)], [...without(4), 4]]) {
      expect(() => checkMembers(group, bad)).toThrow(code('secagg/refused'));
    }
    expect(() => checkMembers(group, without(0, 1, 2, 4))).toThrow(code('round/too-few-participants'));
    expect(() => checkMembers({ ...group, floor: 9 }, without(0, 1))).toThrow(code('round/too-few-participants'));
  });

  test('[SA7] A7 survivors: part of the members, with oneself, at least t and the floor', () => {
    checkSurvivors(group, without(0), without(0, 1));
    for (const bad of [everyone(10), without(0, 3), [4, ...without(0, 1, 4)]]) {
      expect(() => checkSurvivors(group, without(0), bad)).toThrow(code('secagg/refused'));
    }
    expect(() => checkSurvivors(group, without(0), without(0, 1, 2, 4))).toThrow(code('round/too-few-participants'));
    expect(() => checkSurvivors({ ...group, floor: 9 }, without(0), without(0, 1))).toThrow(
      code('round/too-few-participants'),
    );
  });

  test('[SA8] A3 agreements: at least t, once each, of survivors', () => {
    checkAgreed(group, without(0), without(0, 1, 2));
    for (const bad of [without(0, 1, 2, 4), everyone(10), [1, 1, 2, 3, 4, 5, 6, 7]]) {
      expect(() => checkAgreed(group, without(0), bad)).toThrow(code('secagg/refused'));
    }
  });

  test('[SA8] of every member exactly one secret', () => {
    expect(revealOf([0, 1, 2, 3, 5], [0, 2, 5])).toEqual({ self: [0, 2, 5], key: [1, 3] });
  });
});

/** A coordinator that says anything, mostly close to what it should say. */
function randomEvent(rng: Rng, state: ParticipantState, size: number, exchanges: number): ParticipantEvent {
  const shared = 'group' in state ? state.group : { size, self: rng.below(size), floor: 3 };
  const subset = (of: readonly number[]): number[] => {
    const keep = 1 - rng.next() * 0.25;
    const set = of.filter((v) => rng.next() < keep || (v === shared.self && rng.next() < 0.9));
    if (rng.next() < 0.03) set.push(set[rng.below(set.length)] ?? 0);
    if (rng.next() < 0.03) set.push(rng.below(2 * size));
    if (rng.next() < 0.03) set.reverse();
    return set;
  };
  const members = 'members' in state ? state.members : everyone(size);
  const survivors = 'survivors' in state ? state.survivors : members;
  const exchange = 'exchange' in state && rng.next() < 0.9 ? state.exchange : rng.below(exchanges);
  const order = ['opened', 'advertised', 'shared', 'ready', 'masked', 'agreed'].indexOf(state.phase);
  switch (rng.next() < 0.95 && order >= 0 ? order : rng.below(6)) {
    case 0:
      return { type: 'advertise' };
    case 1:
      return { type: 'roster', group: shared };
    case 2:
      return { type: 'delivery', members: subset(everyone(size)) };
    case 3:
      return { type: 'mask', exchange };
    case 4:
      return { type: 'survivors', exchange, survivors: subset(rng.next() < 0.9 ? members : everyone(size)) };
    default:
      return { type: 'agreements', exchange, agreed: subset(rng.next() < 0.9 ? survivors : everyone(size)) };
  }
}

describe('P7 one participant against any coordinator', () => {
  test('[SA8] A2 never both secrets of one member, nor less than t of either, whatever is asked', () => {
    let reveals = 0;
    let finished = 0;
    for (let seed = 0; seed < 1000; seed++) {
      const rng = stream(seed, 'secagg/any-coordinator');
      const size = 3 + rng.below(14);
      const exchanges = 1 + rng.below(3);
      const given = new Map<string, string>();
      let state: ParticipantState = { phase: 'opened' };
      for (let turn = 0; turn < 20 && state.phase !== 'failed'; turn++) {
        const before: ParticipantState = state;
        try {
          const next = advance(state, randomEvent(rng, state, size, exchanges), exchanges);
          state = next.state;
          if (!next.reveal) continue;
          reveals += 1;
          const { exchange, group } = before as Extract<ParticipantState, { phase: 'agreed' }>;
          expect(next.reveal.self.length, `seed ${seed}`).toBeGreaterThanOrEqual(Math.max(3, thresholdOf(group.size)));
          for (const kind of ['self', 'key'] as const) {
            for (const v of next.reveal[kind]) {
              const secret = `${v} of exchange ${exchange}`;
              expect(given.get(secret), `seed ${seed}: ${secret}`).toBeUndefined();
              given.set(secret, kind);
              // who was lost in one exchange is never part of a later one
              if (kind === 'self') expect(given.get(`${v} of exchange ${exchange - 1}`) ?? 'self').toBe('self');
            }
          }
          if (state.phase === 'finished') finished += 1;
        } catch (thrown) {
          expect(['secagg/refused', 'wire/unexpected', 'round/too-few-participants']).toContain(
            (thrown as { code: string }).code,
          );
          state = { phase: 'failed' };
        }
      }
    }
    expect(reveals).toBeGreaterThan(150);
    expect(finished).toBeGreaterThan(50);
  });

  test('[SA6] [SA8] no step goes back or comes twice', () => {
    const group = { size: 4, self: 0, floor: 3 };
    const all = everyone(4);
    const course: ParticipantEvent[] = [
      { type: 'advertise' },
      { type: 'roster', group },
      { type: 'delivery', members: all },
      ...[0, 1].flatMap((exchange): ParticipantEvent[] => [
        { type: 'mask', exchange },
        { type: 'survivors', exchange, survivors: all },
        { type: 'agreements', exchange, agreed: all },
      ]),
    ];
    let state: ParticipantState = { phase: 'opened' };
    for (const [at, event] of course.entries()) {
      for (const [other, wrong] of course.entries()) {
        if (other !== at) expect(() => advance(state, wrong, 2), `${other} at ${at}`).toThrow(code('wire/unexpected'));
      }
      state = advance(state, event, 2).state;
    }
    expect(state.phase).toBe('finished');
    for (const event of course) expect(() => advance(state, event, 2)).toThrow(code('wire/unexpected'));
  });
});

describe('the coordinator’s side of a group', () => {
  const come = (state: GroupState, there: readonly number[]): GroupState => there.reduce(arrive, state);

  test('[SA9] stages, and who is in them', () => {
    let state = close(come(openGroup(7, 4), [0, 1, 2, 4, 5, 6]), 2);
    expect(state).toMatchObject({ stage: 'masking', exchange: 0, members: [0, 1, 2, 4, 5, 6] });
    state = close(come(state, [6, 5, 4, 2, 1]), 2);
    expect(state).toMatchObject({ stage: 'agreeing', survivors: [1, 2, 4, 5, 6] });
    state = close(come(state, [1, 2, 4, 5, 6]), 2);
    state = close(come(state, [1, 2, 4, 5, 6]), 2);
    expect(state).toMatchObject({ stage: 'masking', exchange: 1, members: [1, 2, 4, 5, 6], expected: [1, 2, 4, 5, 6] });
    for (let i = 0; i < 3; i++) state = close(come(state, [1, 2, 4, 5, 6]), 2);
    expect(state.stage).toBe('done');
  });

  test('[SA9] fewer than the floor or the threshold fail the group at every stage', () => {
    let state = openGroup(7, 6);
    expect(close(come(state, [0, 1, 2, 3, 4]), 1).stage).toBe('failed');
    state = close(come(state, [0, 1, 2, 3, 4, 5]), 1);
    expect(close(come(state, [0, 1, 2, 3, 4]), 1).stage).toBe('failed');
    state = close(come(state, [0, 1, 2, 3, 4, 5]), 1);
    expect(isEnough(come(state, [0, 1, 2, 3]))).toBe(false);
    expect(close(come(state, [0, 1, 2, 3]), 1).stage).toBe('failed');
    expect(close(come(state, [0, 1, 2, 3, 4]), 1).stage).toBe('unmasking');
  });

  test('[SA9] early, late, twice and from outside', () => {
    const state = close(come(openGroup(7, 4), [0, 1, 2, 3, 4]), 2);
    const refuses = (
      expected: string,
      ...turn: [stage: Parameters<typeof checkTurn>[1], exchange: number, index: number]
    ) => expect(() => checkTurn(state, ...turn)).toThrow(code(expected));
    checkTurn(state, 'masking', 0, 1);
    refuses('round/late', 'sharing', 0, 5);
    refuses('round/late', 'masking', 0, 5);
    refuses('wire/unexpected', 'agreeing', 0, 1);
    refuses('wire/unexpected', 'masking', 1, 1);
    expect(() => checkTurn(arrive(state, 1), 'masking', 0, 1)).toThrow(code('round/duplicate'));
    expect(() => checkTurn(close(state, 2), 'masking', 0, 1)).toThrow(code('round/late'));
  });
});
