/** The one rule on what is taken of whom, and what is said to what is not. */
import { describe, expect, test } from 'vitest';
import type { ParticipantId } from '../../../protocol/ids.ts';
import type { Member, Recruiting, RoundLimits, SecureStage, Securing, Training } from '../../../server/round-state.ts';
import { STAGES, whyNot } from '../../../server/round-turn.ts';

const p = 'p' as ParticipantId;
const limits = {} as RoundLimits;
const there = (standing: 'working' | 'verifying' | 'reported'): Member => ({ standing, awaySince: null });
const membersOf = (member?: Member) => new Map(member ? [[p, member]] : []);
const base = { round: 2, attempt: 1, limits, endsAt: 100 };

const recruiting = (member?: Member): Recruiting => ({
  ...{ ...base, phase: 'recruiting', candidates: [], changedAt: 0, members: membersOf(member) },
});
const training = (exchange: number, member?: Member): Training => ({
  ...{ ...base, phase: 'training', exchange, startedAt: 0, members: membersOf(member) },
});
const securing = (exchange: number, stage: SecureStage, step: Securing['step'], member?: Member): Securing => ({
  ...{ ...base, phase: 'securing', stage, step, exchange, survivors: [], enough: false, members: membersOf(member) },
});
const ask = (state: Recruiting | Training | Securing, exchange: number, stage?: SecureStage, now = 99) =>
  whyNot(state, { participant: p, exchange, stage }, now);

describe('what is taken', () => {
  test('is what the state asks for, of one who works, in time', () => {
    expect(ask(recruiting(there('working')), 0, undefined, 1e9)).toBeUndefined();
    expect(ask(training(1, there('working')), 1)).toBeUndefined();
    for (const stage of STAGES) expect(ask(securing(0, stage, 'open', there('working')), 0, stage)).toBeUndefined();
  });

  test('is not taken at the deadline any more', () => {
    expect(ask(training(0, there('working')), 0, undefined, 100)).toBe('round/late');
    expect(ask(securing(0, 'masking', 'open', there('working')), 0, 'masking', 100)).toBe('round/late');
  });

  test.each([
    ['recruiting', recruiting, 0, undefined],
    ['training', (member?: Member) => training(0, member), 0, undefined],
    ['securing', (member?: Member) => securing(0, 'sharing', 'open', member), 0, 'sharing'],
  ] as const)('in %s: strangers, those who were only asked, those who are out, and repetitions', (_, of, e, stage) => {
    expect(ask(of(), e, stage)).toBe('round/stale');
    expect(ask(of({ standing: 'offered' }), e, stage)).toBe('round/stale');
    expect(ask(of({ standing: 'out', code: 'report/malformed' }), e, stage)).toBe('report/malformed');
    expect(ask(of({ standing: 'out', code: 'net/closed' }), e, stage)).toBe('round/late');
    for (const standing of ['verifying', 'reported'] as const) {
      expect(ask(of(there(standing)), e, stage)).toBe('round/duplicate');
    }
  });
});

describe('the order of what is asked', () => {
  test('an exchange that is over is stale, one that has not begun unexpected', () => {
    expect(ask(training(1, there('working')), 0)).toBe('round/stale');
    expect(ask(training(1, there('working')), 2)).toBe('wire/unexpected');
    expect(ask(securing(1, 'agreeing', 'open', there('working')), 0, 'unmasking')).toBe('round/stale');
    expect(ask(securing(0, 'unmasking', 'open', there('working')), 1)).toBe('wire/unexpected');
  });

  test('within an exchange, what was given before is given twice, and what comes later is too early', () => {
    const order = [undefined, ...STAGES];
    for (const [i, current] of STAGES.entries()) {
      for (const [k, stage] of order.entries()) {
        const state = securing(0, current, 'open', there('working'));
        const expected = k < i + 1 ? 'round/duplicate' : k > i + 1 ? 'wire/unexpected' : undefined;
        expect(ask(state, 0, stage), `${stage} in ${current}`).toBe(expected);
        expect(ask(training(0, there('working')), 0, current)).toBe('wire/unexpected');
      }
    }
  });

  test('a stage is not answered before what it starts from is out, and keys are asked for once in a round', () => {
    expect(ask(securing(0, 'masking', 'opening', there('reported')), 0, 'masking')).toBe('wire/unexpected');
    expect(ask(securing(0, 'masking', 'opening', there('reported')), 0, 'sharing')).toBe('round/duplicate');
    for (const stage of ['sharing', 'masking'] as const) {
      expect(ask(securing(1, 'agreeing', 'open', there('working')), 1, stage)).toBe('wire/unexpected');
    }
  });
});
