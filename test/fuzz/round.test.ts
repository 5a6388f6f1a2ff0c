/** Model-based fuzz of the round machine: whatever participants do, an attempt ends in time and counts each of them once. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../protocol/errors.ts';
import type { ParticipantId } from '../../protocol/ids.ts';
import { deadlineOf, idle, transition } from '../../server/round.ts';
import type { RoundEffect, RoundEvent, RoundLimits, RoundState, SecureStage } from '../../server/round-state.ts';

const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
const runs = Number(process.env.FUZZ_RUNS ?? 400);

const name = (i: number): ParticipantId => `p${i}` as ParticipantId;
const POPULATION = 12;

const limitsArbitrary: fc.Arbitrary<RoundLimits> = fc
  .record({
    cohort: fc.integer({ min: 1, max: 8 }),
    extra: fc.integer({ min: 0, max: 4 }),
    minReports: fc.integer({ min: 1, max: 8 }),
    startWith: fc.integer({ min: 0, max: 4 }),
    waitForAll: fc.boolean(),
    exchanges: fc.integer({ min: 1, max: 3 }),
    recruitMs: fc.integer({ min: 1, max: 100 }),
    trainMs: fc.integer({ min: 1, max: 200 }),
    graceMs: fc.integer({ min: 1, max: 50 }),
    settleMs: fc.integer({ min: 1, max: 50 }),
    aggregateMs: fc.integer({ min: 1, max: 50 }),
    secure: fc.boolean(),
    stageMs: fc.integer({ min: 1, max: 60 }),
  })
  .map(({ extra, ...limits }) => ({
    ...limits,
    target: limits.cohort + extra,
    minReports: Math.min(limits.minReports, limits.cohort),
  }));

const who = fc.integer({ min: 0, max: POPULATION - 1 }).map(name);
const exchange = fc.integer({ min: 0, max: 3 });
const code: fc.Arbitrary<ErrorCode> = fc.constantFrom(
  'report/malformed',
  'auth/bad-signature',
  'data/too-few-examples',
);

const stage = fc.constantFrom<SecureStage>('sharing', 'masking', 'agreeing', 'unmasking');
const maybe = fc.option(stage, { nil: undefined });

/** Anything a participant, the network or a confused runner could do, at a time after the last event. */
type Untimed = RoundEvent extends infer E ? (E extends RoundEvent ? Omit<E, 'now'> : never) : never;
const eventArbitrary: fc.Arbitrary<Untimed> = fc.oneof(
  fc.record({ type: fc.constant('candidates' as const), ranked: fc.uniqueArray(who) }),
  fc.record({ type: fc.constant('accept' as const), participant: who }),
  fc.record({ type: fc.constant('decline' as const), participant: who, code }),
  fc.record({ type: fc.constantFrom('away' as const, 'back' as const), participant: who }),
  fc.record({ type: fc.constant('report' as const), participant: who, exchange }),
  fc.record({ type: fc.constant('report' as const), participant: who, exchange, stage }),
  fc.record({ type: fc.constant('verified' as const), participant: who, exchange, stage: maybe }),
  fc.record({ type: fc.constant('rejected' as const), participant: who, exchange, code, stage: maybe }),
  fc.record({ type: fc.constant('opened' as const), exchange, stage, participants: fc.uniqueArray(who) }),
  fc.record({ type: fc.constant('enough' as const), exchange }),
  fc.record({ type: fc.constant('aggregated' as const), exchange }),
  fc.constantFrom({ type: 'stored' as const }, { type: 'tick' as const }),
);
/** `cooperate` runs the honest next step of some participant, so that deep states are reached. */
const moveArbitrary = fc.record({
  wait: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 60 })),
  move: fc.oneof(
    { weight: 15, arbitrary: fc.constant('cooperate' as const) },
    { weight: 4, arbitrary: fc.constant('own part' as const) },
    { weight: 5, arbitrary: eventArbitrary },
  ),
});

/** What an honest participant, or the coordinator itself, would do next in `state`. */
function honestEvent(state: RoundState, pick: number): Untimed | undefined {
  if (state.phase === 'idle')
    return { type: 'candidates', ranked: Array.from({ length: POPULATION }, (_, i) => name(i)) };
  if (state.phase === 'committed' || state.phase === 'failed' || state.phase === 'aggregating') return undefined;
  if (state.phase === 'securing' && state.step === 'opening') return ownPart(state);
  const useful = [...state.members].filter(([, m]) => m.standing !== 'reported' && m.standing !== 'out');
  const [participant, member] = useful[pick % Math.max(1, useful.length)] ?? [];
  if (!participant || !member) return undefined;
  if (member.standing === 'offered') return { type: 'accept', participant };
  const report = {
    participant,
    exchange: state.phase === 'recruiting' ? 0 : state.exchange,
    stage: state.phase === 'securing' ? state.stage : undefined,
  };
  return { type: member.standing === 'working' ? 'report' : 'verified', ...report };
}

const hasEnded = (state: RoundState): boolean => state.phase === 'committed' || state.phase === 'failed';

const ownPart = (state: RoundState): Untimed => {
  if (state.phase === 'securing' && state.step === 'opening') {
    const { exchange, stage, members } = state;
    const participants = [...members].filter(([, m]) => m.standing === 'reported').map(([id]) => id);
    return { type: 'opened', exchange, stage, participants };
  }
  if (state.phase !== 'aggregating') return { type: 'tick' };
  return state.step === 'summing' ? { type: 'aggregated', exchange: state.exchange } : { type: 'stored' };
};

/** `expect` costs more than the machine itself when it is called some hundred times in each of some hundred runs. */
function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Follows the effects of a whole attempt and checks them against what came before. */
class Watcher {
  ended: 'committed' | 'failed' | undefined;
  openedAt: number | undefined;
  endedAt: number | undefined;
  /** Time that the store took: the one thing that has no deadline. */
  storingMs = 0;
  private readonly asked = new Set<ParticipantId>();
  private readonly admitted = new Set<ParticipantId>();
  private readonly added: Set<ParticipantId>[] = [];
  private readonly answers = new Set<string>();
  private stage = '';
  private commits = 0;
  private last = 0;
  private readonly limits: RoundLimits;

  constructor(limits: RoundLimits) {
    this.limits = limits;
  }

  see(before: RoundState, event: RoundEvent, effects: readonly RoundEffect[], after: RoundState): void {
    if (before.phase === 'idle' && after.phase !== 'idle') this.openedAt = event.now;
    if (before.phase === 'aggregating' && before.step === 'storing') this.storingMs += event.now - this.last;
    if (!hasEnded(before) && hasEnded(after)) this.endedAt = event.now;
    this.last = event.now;
    // Who goes away before it has accepted may be asked again when it is back.
    if (event.type === 'away' && !this.admitted.has(event.participant)) this.asked.delete(event.participant);
    for (const effect of effects) {
      must(!hasEnded(before) || effect.type === 'refuse', 'after the end, something else than a refusal');
      this.check(effect, before);
    }
    this.checkAnswers(event, effects);
  }

  private checkAnswers(event: RoundEvent, effects: readonly RoundEffect[]): void {
    if (event.type === 'accept' || event.type === 'report') {
      const answers = effects.filter((e) => e.type === 'admit' || e.type === 'verify' || e.type === 'refuse');
      must(answers.length === 1, `${event.type} is not answered exactly once`);
      must(
        answers.every((e) => e.participant === event.participant),
        'somebody else is answered',
      );
    }
    if (event.type === 'verified') {
      const answers = effects.filter((e) => e.type === 'add' || e.type === 'refuse');
      must(answers.length === 1, 'a verified report is neither added nor refused, or both');
    }
  }

  private check(effect: RoundEffect, before: RoundState): void {
    const { minReports, target } = this.limits;
    switch (effect.type) {
      case 'offer':
        for (const id of effect.participants) {
          must(!this.asked.has(id), 'somebody is asked twice');
          this.asked.add(id);
        }
        break;
      case 'admit':
        must(this.asked.has(effect.participant), 'somebody is admitted who was not asked');
        this.admitted.add(effect.participant);
        break;
      case 'add':
        this.checkAdd(effect.participant, effect.exchange, effect.stage);
        break;
      case 'secure':
        this.checkStage(effect.exchange, effect.stage);
        break;
      case 'aggregate': {
        const added = this.added[effect.exchange] ?? new Set();
        must(!this.limits.secure || this.stage === `${effect.exchange}/unmasking`, 'a sum that was not unmasked');
        must(effect.reports.length === added.size && effect.reports.every((id) => added.has(id)), 'other reports');
        must(effect.reports.length >= minReports, 'too few reports are aggregated');
        break;
      }
      case 'refuse':
        must(effect.retryAfterMs > 0, 'a refusal without a time to wait');
        break;
      case 'commit':
        must(++this.commits === 1 && before.phase === 'aggregating', 'a second commit, or one out of turn');
        break;
      case 'committed':
      case 'failed':
        must(this.ended === undefined, 'an attempt ends twice');
        this.ended = effect.type;
        if (effect.type === 'committed') {
          must(effect.reports.length >= minReports && effect.reports.length <= target, 'committed with a wrong number');
        }
        break;
    }
  }

  /** Stages come one after the other, each once. */
  private checkStage(exchange: number, stage: SecureStage): void {
    must(this.limits.secure, 'masks in a sealed round');
    const before = { sharing: '', masking: '0/sharing', agreeing: '0/masking', unmasking: `${exchange}/agreeing` };
    const expected = exchange > 0 && stage === 'agreeing' ? `${exchange - 1}/unmasking` : before[stage];
    must(this.stage === expected, `${exchange}/${stage} after ${this.stage}`);
    this.stage = `${exchange}/${stage}`;
  }

  /** Words are added once in each exchange; every other answer under masks once at its stage. */
  private checkAdd(id: ParticipantId, exchange: number, stage: SecureStage | undefined): void {
    const isSum = this.limits.secure ? stage === (exchange === 0 ? 'masking' : undefined) : true;
    if (!isSum) {
      const answer = `${exchange}/${stage ?? 'keys'}/${id}`;
      must(!this.answers.has(answer), 'an answer is taken twice');
      this.answers.add(answer);
      return;
    }
    const added = this.added[exchange] ?? new Set();
    this.added[exchange] = added;
    must(!added.has(id), 'somebody is counted twice');
    must(exchange === 0 || this.added[exchange - 1]?.has(id) === true, 'counted without the exchange before');
    added.add(id);
    must(added.size <= this.limits.target, 'more reports than were asked for');
  }
}

describe('the round machine', () => {
  test(`holds its promises against any sequence of events (seed ${seed})`, () => {
    const endings = { committed: 0, failed: 0 };
    fc.assert(
      fc.property(
        limitsArbitrary,
        fc.array(moveArbitrary, { minLength: 1, maxLength: 300, size: 'max' }),
        (limits, moves) => {
          let state = idle(3, 1, limits) as RoundState;
          let now = 0;
          const watcher = new Watcher(limits);
          const apply = (event: RoundEvent): void => {
            const step = transition(state, event);
            watcher.see(state, event, step.effects, step.state);
            state = step.state;
          };
          const advanceTo = (time: number): void => {
            for (let due = deadlineOf(state); due <= time; due = deadlineOf(state)) {
              now = Math.max(now, due);
              apply({ type: 'tick', now });
              must(deadlineOf(state) > now, 'a tick at the deadline leaves something due');
            }
            now = time;
          };
          moves.forEach(({ wait, move }, i) => {
            advanceTo(now + wait);
            const event = move === 'cooperate' ? honestEvent(state, i) : move === 'own part' ? ownPart(state) : move;
            if (event) apply({ ...event, now } as RoundEvent);
          });
          // From here on every participant is silent and the coordinator does its own part: the attempt must end.
          for (let i = 0; i < 200 && !hasEnded(state); i++) {
            if (state.phase === 'idle')
              apply({ type: 'candidates', ranked: Array.from({ length: POPULATION }, (_, j) => name(j)), now });
            else if (state.phase === 'aggregating' || (state.phase === 'securing' && state.step === 'opening'))
              apply({ ...ownPart(state), now } as RoundEvent);
            else advanceTo(deadlineOf(state));
          }
          expect(['committed', 'failed']).toContain(state.phase);
          expect(watcher.ended).toBe(state.phase);
          endings[watcher.ended!]++;
          const { recruitMs, trainMs, aggregateMs, exchanges } = limits;
          const securing = limits.secure ? 4 * (limits.stageMs + 2 * aggregateMs) : 0;
          const bound = recruitMs + exchanges * (trainMs + securing + 2 * aggregateMs) + watcher.storingMs;
          expect(watcher.endedAt! - watcher.openedAt!).toBeLessThanOrEqual(bound);
        },
      ),
      { seed, numRuns: runs },
    );
    // The generator must reach both ends, or the property says little.
    expect(endings.committed).toBeGreaterThan(runs / 20);
    expect(endings.failed).toBeGreaterThan(runs / 20);
  });

  test('is a pure function: the state handed in is never changed', () => {
    fc.assert(
      fc.property(limitsArbitrary, fc.array(moveArbitrary, { maxLength: 60, size: 'max' }), (limits, moves) => {
        let state: RoundState = idle(0, 0, limits);
        let now = 0;
        moves.forEach(({ wait, move }, i) => {
          now += wait;
          const event = move === 'cooperate' ? honestEvent(state, i) : move === 'own part' ? ownPart(state) : move;
          if (!event) return;
          const copy = structuredClone(state);
          const first = transition(state, { ...event, now } as RoundEvent);
          expect(state).toEqual(copy);
          expect(transition(copy, { ...event, now } as RoundEvent)).toEqual(first);
          state = first.state;
        });
      }),
      { seed, numRuns: Math.ceil(runs / 10) },
    );
  });
});
