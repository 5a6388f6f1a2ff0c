/** The round machine by example, one test for each rule: once its cohort is closed. */
import { describe, expect, test } from 'vitest';
import { deadlineOf } from '../../../../server/round.ts';
import type { RoundEffect, RoundLimits } from '../../../../server/round-state.ts';
import { ids, LIMITS, play, refusal, types } from './play.ts';

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
