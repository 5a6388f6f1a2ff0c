import { describe, expect, it } from 'vitest';
import { wordsFor } from '../../../client/browser/page/progress.ts';
import type { ParticipantEvent } from '../../../client/events.ts';
import { TacitError } from '../../../protocol/errors.ts';

const AT = { round: 2, attempt: 1 };

describe('an event in words', () => {
  it.each<[ParticipantEvent, RegExp]>([
    [{ type: 'training', ...AT, step: 1, steps: 5 }, /^Round 3: training/],
    [{ type: 'reported', ...AT }, /^Round 3: your update has arrived/],
    [{ type: 'committed', ...AT, participants: 4, modelHash: '', mine: true }, /4 participants.*you are in it/],
    [{ type: 'declined', ...AT, code: 'policy/refused', reason: 'too often' }, /declined: too often/],
    [{ type: 'failed', ...AT, code: 'round/late', reason: 'too late' }, /too late.*next/],
    [{ type: 'retrying', attempt: 1, waitMs: 2900, error: new TacitError('net/closed', '') }, /again in 3 s/],
    [{ type: 'retrying', attempt: 1, waitMs: 3, error: new TacitError('net/closed', '') }, /again in 1 s/],
    [{ type: 'finished', rounds: 7, modelHash: '' }, /after 7 rounds/],
  ])('%j', (event, words) => {
    expect(wordsFor(event)).toMatch(words);
  });

  it('says nothing new for each chunk that arrives', () => {
    expect(wordsFor({ type: 'downloading', ...AT, bytes: 1, total: 2 })).toBeUndefined();
  });
});
