/** The round machine by example: one test for each rule. */
import { describe, expect, test } from 'vitest';
import type { ParticipantId } from '../../../protocol/ids.ts';
import { deadlineOf, idle, transition } from '../../../server/round.ts';
import { limitsOf } from '../../../server/round-limits.ts';
import type { RoundEffect, RoundEvent, RoundLimits, RoundState, SecureStage } from '../../../server/round-state.ts';
import { testPlan } from '../../e2e/server-harness.ts';

const LIMITS: RoundLimits = {
  startWith: 2,
  cohort: 3,
  target: 4,
  minReports: 2,
  waitForAll: false,
  exchanges: 1,
  recruitMs: 100,
  trainMs: 1000,
  graceMs: 30,
  settleMs: 20,
  aggregateMs: 50,
  secure: false,
  stageMs: 40,
};

const id = (name: string): ParticipantId => name as ParticipantId;
const ids = (names: string): ParticipantId[] => [...names].map(id);

/** Plays events of the form 'accept a', at times that go on from one to the next, and keeps the effects of each. */
function play(limits: Partial<RoundLimits> = {}) {
  let state: RoundState = idle(5, 0, { ...LIMITS, ...limits });
  let now = 0;
  const apply = (event: Record<string, unknown>): readonly RoundEffect[] => {
    const step = transition(state, { ...event, now } as RoundEvent);
    state = step.state;
    return step.effects;
  };
  const game = {
    get state() {
      return state;
    },
    wait: (ms: number) => {
      now += ms;
      return game;
    },
    candidates: (names: string) => apply({ type: 'candidates', ranked: ids(names) }),
    accept: (name: string) => apply({ type: 'accept', participant: id(name) }),
    decline: (name: string) => apply({ type: 'decline', participant: id(name), code: 'data/too-few-examples' }),
    away: (name: string) => apply({ type: 'away', participant: id(name) }),
    back: (name: string) => apply({ type: 'back', participant: id(name) }),
    report: (name: string, exchange = 0) => apply({ type: 'report', participant: id(name), exchange }),
    verified: (name: string, exchange = 0) => apply({ type: 'verified', participant: id(name), exchange }),
    rejected: (name: string) =>
      apply({ type: 'rejected', participant: id(name), exchange: 0, code: 'report/out-of-bounds' }),
    /** A stage under masks is open, and these answer it. */
    stage: (stage: SecureStage, asked: string, answers = asked): readonly RoundEffect[] => {
      apply({ type: 'opened', exchange: 0, stage, participants: ids(asked) });
      return [...answers].flatMap((name) => {
        const answer = { participant: id(name), exchange: 0, stage };
        return [...apply({ type: 'report', ...answer }), ...apply({ type: 'verified', ...answer })];
      });
    },
    tick: () => apply({ type: 'tick' }),
    /** The sum was used; it holds everybody's report unless `counted` says whose. */
    aggregated: (exchange = 0, counted?: string) =>
      apply({ type: 'aggregated', exchange, ...(counted === undefined ? {} : { counted: ids(counted) }) }),
    stored: () => apply({ type: 'stored' }),
    cancel: () => apply({ type: 'cancel' }),
    /** Accept, report, verified. */
    contribute: (names: string, exchange = 0) => {
      for (const name of names) {
        if (exchange === 0) game.accept(name);
        game.report(name, exchange);
        game.verified(name, exchange);
      }
      return game;
    },
  };
  return game;
}

const refusal = (effects: readonly RoundEffect[]) => effects.find((e) => e.type === 'refuse');
const types = (effects: readonly RoundEffect[]) => effects.map((e) => e.type);

describe('recruiting', () => {
  test('opens when enough candidates are there, and asks the first of them up to the target', () => {
    const game = play();
    expect(game.candidates('a')).toEqual([]);
    expect(game.state.phase).toBe('idle');
    expect(game.candidates('dbaec')).toEqual([{ type: 'offer', participants: ids('dbae') }]);
    expect(game.state.phase).toBe('recruiting');
  });

  test('asks who comes later while there is room, and others in the place of those who decline', () => {
    const game = play();
    game.candidates('ab');
    expect(game.candidates('abc')).toEqual([{ type: 'offer', participants: ids('c') }]);
    game.candidates('abcdef');
    expect(game.decline('a')).toEqual([{ type: 'offer', participants: ids('e') }]);
  });

  test('ends at once when the target has accepted, and dismisses nobody', () => {
    const game = play();
    game.candidates('abcd');
    for (const name of 'abcd') expect(types(game.accept(name))).toEqual(['admit']);
    expect(game.state.phase).toBe('training');
  });

  test('ends when the cohort has accepted and nobody is left to answer', () => {
    const game = play();
    game.candidates('abc');
    for (const name of 'abc') game.accept(name);
    expect(game.state.phase).toBe('training');
  });

  test('ends at its deadline with the minimum, and dismisses who did not answer', () => {
    const game = play();
    game.candidates('abcd');
    game.accept('a');
    game.accept('b');
    expect(deadlineOf(game.state)).toBe(100);
    expect(game.wait(100).tick()).toEqual([{ type: 'dismiss', participants: ids('cd'), code: 'round/full' }]);
    expect(game.state.phase).toBe('training');
    expect(refusal(game.accept('c'))).toMatchObject({ code: 'round/full' });
  });

  test('fails at its deadline below the minimum', () => {
    const game = play();
    game.candidates('abcd');
    game.accept('a');
    expect(types(game.wait(100).tick())).toEqual(['failed']);
    expect(game.state).toMatchObject({ phase: 'failed', reason: 'round/too-few-participants' });
  });

  test('does not wait its whole time for more when all that are there have answered', () => {
    const game = play();
    game.candidates('ab');
    game.accept('a');
    game.wait(10).accept('b');
    expect(deadlineOf(game.state)).toBe(10 + LIMITS.settleMs);
    game.wait(LIMITS.settleMs).tick();
    expect(game.state.phase).toBe('training');
  });

  test('somebody who goes away before accepting makes room, and is asked again when it is back', () => {
    const game = play({ target: 2 });
    game.candidates('ab');
    expect(game.away('a')).toEqual([]);
    expect(game.candidates('b')).toEqual([]);
    expect(game.candidates('ab')).toEqual([{ type: 'offer', participants: ids('a') }]);
  });

  test('who was not asked is not let in', () => {
    const game = play();
    game.candidates('abcd');
    expect(refusal(game.accept('z'))).toMatchObject({ code: 'round/not-selected', retryAfterMs: 1000 });
  });

  test('reports may come before it ends; with the cohort complete the rest is not waited for', () => {
    const game = play();
    game.candidates('abcd');
    game.contribute('ab');
    expect(game.state.phase).toBe('recruiting');
    game.contribute('c');
    expect(game.state).toMatchObject({ phase: 'aggregating', reports: ids('abc') });
  });
});

describe('training', () => {
  test('does not begin before all have answered, if all are awaited', () => {
    const game = play({ waitForAll: true });
    game.candidates('abcd');
    game.contribute('abc');
    expect(game.state.phase).toBe('recruiting');
    game.contribute('d');
    expect(game.state).toMatchObject({ phase: 'aggregating', reports: ids('abcd') });
  });

  test('takes no report after its deadline, also when nobody has looked at the clock since', () => {
    const game = started();
    game.contribute('ab');
    expect(refusal(game.wait(1000).report('c'))).toMatchObject({ code: 'round/late' });
    expect(game.state).toMatchObject({ phase: 'aggregating', reports: ids('ab') });
  });

  const started = (limits: Partial<RoundLimits> = {}) => {
    const game = play(limits);
    game.candidates('abcd');
    for (const name of 'abcd') game.accept(name);
    return game;
  };

  test('closes with the cohort and dismisses the others', () => {
    const game = started();
    for (const name of 'ab') game.report(name);
    game.verified('a');
    game.verified('b');
    game.report('c');
    expect(game.verified('c')).toEqual([
      { type: 'add', participant: 'c', exchange: 0 },
      { type: 'dismiss', participants: ids('d'), code: 'round/late' },
      { type: 'aggregate', exchange: 0, reports: ids('abc') },
    ]);
    expect(refusal(game.report('d'))).toMatchObject({ code: 'round/late' });
  });

  test('waits for everybody if the plan says so', () => {
    const game = started({ waitForAll: true });
    game.contribute('abc');
    expect(game.state.phase).toBe('training');
    game.contribute('d');
    expect(game.state.phase).toBe('aggregating');
  });

  test('goes on at the deadline with the minimum', () => {
    const game = started({ waitForAll: true });
    game.contribute('ab');
    expect(deadlineOf(game.state)).toBe(1000);
    expect(types(game.wait(1000).tick())).toEqual(['dismiss', 'aggregate']);
  });

  test('fails at the deadline below the minimum, and tells who had reported', () => {
    const game = started();
    game.contribute('a');
    const effects = game.wait(1000).tick();
    expect(effects.at(-1)).toEqual({ type: 'failed', reason: 'round/too-few-reports', participants: ids('a') });
  });

  test('a report that came in time is still verified after the deadline, for a while', () => {
    const game = started();
    game.contribute('a');
    game.report('b');
    game.wait(1000).tick();
    expect(game.state.phase).toBe('training');
    expect(refusal(game.report('c'))).toMatchObject({ code: 'round/late' });
    expect(types(game.verified('b'))).toEqual(['add', 'aggregate']);

    const slow = started();
    slow.contribute('a');
    slow.report('b');
    slow.wait(1000).tick();
    expect(types(slow.wait(LIMITS.aggregateMs).tick())).toEqual(['dismiss', 'failed']);
    expect(refusal(slow.verified('b'))).toMatchObject({ code: 'round/late' });
  });

  test('a report counts once: repetitions are refused', () => {
    const game = started();
    expect(types(game.report('a'))).toEqual(['verify']);
    expect(refusal(game.report('a'))).toMatchObject({ code: 'round/duplicate' });
    game.verified('a');
    expect(refusal(game.report('a'))).toMatchObject({ code: 'round/duplicate' });
    expect(refusal(game.verified('a'))).toMatchObject({ code: 'round/late' });
  });

  test('a refused report puts its participant out, and the round goes on', () => {
    const game = started();
    game.report('a');
    expect(game.rejected('a')).toEqual([]);
    expect(refusal(game.report('a'))).toMatchObject({ code: 'report/out-of-bounds' });
    game.contribute('bcd');
    expect(game.state).toMatchObject({ phase: 'aggregating', reports: ids('bcd') });
  });

  test('fails as soon as the minimum cannot be reached any more', () => {
    const game = started();
    for (const name of 'abc') {
      game.report(name);
      game.rejected(name);
    }
    expect(game.state).toMatchObject({ phase: 'failed', reason: 'round/too-few-reports' });
  });

  test('who vanishes is waited for through the grace period only', () => {
    const game = started({ waitForAll: true });
    game.contribute('abc');
    game.away('d');
    expect(deadlineOf(game.state)).toBe(LIMITS.graceMs);
    expect(types(game.wait(LIMITS.graceMs).tick())).toEqual(['aggregate']);
    expect(refusal(game.accept('d'))).toMatchObject({ code: 'round/late' });
  });

  test('who comes back in time goes on where it was', () => {
    const game = started({ waitForAll: true });
    game.away('d');
    game.wait(LIMITS.graceMs - 1).back('d');
    game.wait(100).tick();
    expect(game.accept('d')).toEqual([{ type: 'admit', participant: 'd', exchange: 0 }]);
    game.contribute('abcd');
    expect(game.state.phase).toBe('aggregating');
  });

  test('a vanished participant whose report is here counts', () => {
    const game = started({ waitForAll: true });
    game.contribute('abc');
    game.report('d');
    game.away('d');
    game.wait(LIMITS.graceMs).tick();
    game.verified('d');
    expect(game.state).toMatchObject({ phase: 'aggregating', reports: ids('abcd') });
  });

  test('reports of strangers, of other exchanges and of who never accepted are refused', () => {
    const game = started();
    expect(refusal(game.report('z'))).toMatchObject({ code: 'round/stale' });
    expect(refusal(game.report('a', 1))).toMatchObject({ code: 'wire/unexpected' });
    const early = play();
    early.candidates('ab');
    expect(refusal(early.report('a'))).toMatchObject({ code: 'round/stale' });
  });
});

describe('aggregating', () => {
  const summing = (limits: Partial<RoundLimits> = {}) => {
    const game = play({ target: 3, ...limits });
    game.candidates('abc');
    game.contribute('abc');
    return game;
  };

  test('is followed by the store and then the commit', () => {
    const game = summing();
    expect(game.aggregated()).toEqual([{ type: 'commit', reports: ids('abc') }]);
    expect(deadlineOf(game.state)).toBe(Number.POSITIVE_INFINITY);
    expect(game.stored()).toEqual([{ type: 'committed', reports: ids('abc') }]);
    expect(game.state.phase).toBe('committed');
  });

  test('takes only so long', () => {
    const game = summing();
    expect(types(game.wait(LIMITS.aggregateMs).tick())).toEqual(['failed']);
    expect(game.aggregated()).toEqual([]);
    expect(game.stored()).toEqual([]);
  });

  test('can be cancelled until the store has begun to write, and not after', () => {
    const early = summing();
    expect(early.cancel()).toEqual([{ type: 'failed', reason: 'round/cancelled', participants: ids('abc') }]);
    const late = summing();
    late.aggregated();
    expect(late.cancel()).toEqual([]);
    expect(types(late.stored())).toEqual(['committed']);
  });

  test('leads to the next exchange, with those alone whose report counted', () => {
    const game = play({ exchanges: 2, target: 4 });
    game.candidates('abcd');
    for (const name of 'abcd') game.accept(name);
    game.contribute('abc');
    // who lost its connection after its report is told that it is in, and waits for the next exchange
    expect(refusal(game.accept('a'))).toMatchObject({ code: 'round/duplicate' });
    expect(refusal(game.accept('d'))).toMatchObject({ code: 'round/late' });
    expect(game.aggregated()).toEqual([{ type: 'exchange', exchange: 1, participants: ids('abc') }]);
    expect(game.state).toMatchObject({ phase: 'training', exchange: 1 });
    expect(refusal(game.report('d', 1))).toMatchObject({ code: 'round/late' });
    expect(refusal(game.report('a', 0))).toMatchObject({ code: 'round/stale' });
    expect(game.accept('a')).toEqual([{ type: 'admit', participant: 'a', exchange: 1 }]);
    game.contribute('abc', 1);
    expect(game.state).toMatchObject({ phase: 'aggregating', exchange: 1 });
    expect(types(game.aggregated(1))).toEqual(['commit']);
  });

  test('goes on without those whose group could not be opened', () => {
    const game = play({ exchanges: 2, target: 4, waitForAll: true });
    game.candidates('abcd');
    game.contribute('abcd');
    expect(game.aggregated(0, 'acd')).toEqual([
      { type: 'dismiss', participants: ids('b'), code: 'secagg/unrecoverable' },
      { type: 'exchange', exchange: 1, participants: ids('acd') },
    ]);
    expect(refusal(game.report('b', 1))).toMatchObject({ code: 'secagg/unrecoverable' });
    game.contribute('acd', 1);
    expect(game.aggregated(1, 'ac')).toEqual([
      { type: 'dismiss', participants: ids('d'), code: 'secagg/unrecoverable' },
      { type: 'commit', reports: ids('ac') },
    ]);
  });

  test('fails if the sum holds too few reports, whoever gave one', () => {
    const game = play({ target: 3, waitForAll: true });
    game.candidates('abc');
    game.contribute('abc');
    game.aggregated(0, 'c');
    expect(game.state).toMatchObject({ phase: 'failed', reason: 'round/too-few-reports' });
  });

  test('who was away when the next exchange began has the grace period to come back', () => {
    const game = play({ exchanges: 2, target: 3, waitForAll: true });
    game.candidates('abc');
    game.contribute('abc');
    game.away('c');
    game.wait(20).aggregated();
    expect(deadlineOf(game.state)).toBe(20 + LIMITS.graceMs);
    game.contribute('ab', 1);
    game.wait(LIMITS.graceMs).tick();
    expect(game.state).toMatchObject({ phase: 'aggregating', reports: ids('ab') });
  });
});

describe('limits of a plan', () => {
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
});

describe('under masks', () => {
  const masked = () => {
    const game = play({ secure: true, waitForAll: true });
    game.candidates('abcd');
    game.contribute('abcd');
    expect(game.state.phase).toBe('securing');
    game.stage('sharing', 'abcd');
    return game;
  };
  const summed = (effects: readonly RoundEffect[]) => effects.find((e) => e.type === 'aggregate')?.reports;

  test('who declines once its masked words are in stays in the sum, which can be opened without it', () => {
    const game = masked();
    game.stage('masking', 'abcd', 'abc');
    game.decline('a');
    game.decline('d');
    game.stage('agreeing', 'bc');
    expect([...summed(game.stage('unmasking', 'bc'))!].sort()).toEqual(ids('abc'));
  });

  test('who declines before they are in is not, also while the stage is being opened', () => {
    const game = masked();
    game.decline('a');
    game.stage('masking', 'bcd', 'bc');
    game.decline('d');
    game.stage('agreeing', 'bc');
    expect([...summed(game.stage('unmasking', 'bc'))!].sort()).toEqual(ids('bc'));
  });
});
