/** The round machine by example, one test for each rule: while it takes reports. */
import { describe, expect, test } from 'vitest';
import { deadlineOf } from '../../../../server/round.ts';
import type { RoundLimits } from '../../../../server/round-state.ts';
import { ids, LIMITS, play, refusal, types } from './play.ts';

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
