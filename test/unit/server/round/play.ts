/** Plays a round by hand: one call for each event. */
import type { ParticipantId } from '../../../../protocol/ids.ts';
import { idle, transition } from '../../../../server/round.ts';
import type { RoundEffect, RoundEvent, RoundLimits, RoundState, SecureStage } from '../../../../server/round-state.ts';

export const LIMITS: RoundLimits = {
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
export const ids = (names: string): ParticipantId[] => [...names].map(id);

/** Plays events of the form 'accept a', at times that go on from one to the next, and keeps the effects of each. */
export function play(limits: Partial<RoundLimits> = {}) {
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

export const refusal = (effects: readonly RoundEffect[]) => effects.find((e) => e.type === 'refuse');
export const types = (effects: readonly RoundEffect[]) => effects.map((e) => e.type);
