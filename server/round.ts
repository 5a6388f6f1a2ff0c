/**
 * One attempt at one round as a pure function: `transition(state, event) → {state, effects}`.
 * idle → recruiting → training → (securing →) aggregating → (training of the next exchange →) committed | failed.
 * Counts are checked before anything changes, every request is answered, and no participant can hold a phase beyond its time.
 */
import type { ParticipantId } from '../protocol/ids.ts';
import { answer, dismissed, fail, reasonOf } from './round-answers.ts';
import { answersDueAt } from './round-deadlines.ts';
import { carriedOver, idsOf, nextLossAt, putOut, withPresence } from './round-members.ts';
import { quietAt, settle, settleTraining, whileOpen } from './round-open.ts';
import { whileSecuring } from './round-securing.ts';
import type {
  Aggregating,
  Idle,
  Recruiting,
  RoundEvent,
  RoundLimits,
  RoundState,
  Step,
  Training,
} from './round-state.ts';

export const idle = (round: number, attempt: number, limits: RoundLimits): Idle => ({
  phase: 'idle',
  round,
  attempt,
  limits,
});

/** Advances an attempt by one event. Never throws: an event that does not fit is answered or ignored. */
export function transition(state: RoundState, event: RoundEvent): Step {
  switch (state.phase) {
    case 'idle':
      return whileIdle(state, event);
    case 'recruiting':
    case 'training':
      return whileOpen(state, event);
    case 'securing':
      return whileSecuring(state, event);
    case 'aggregating':
      return whileAggregating(state, event);
    case 'committed':
    case 'failed':
      return { state, effects: answer(state, event) };
  }
}

/** When a `tick` is due, on the clock of the events; Infinity: only an event can change this state. */
export function deadlineOf(state: RoundState): number {
  switch (state.phase) {
    case 'recruiting':
      return Math.min(state.endsAt, quietAt(state), nextLossAt(state.members, state.limits.graceMs));
    case 'training':
      return answersDueAt(state);
    case 'securing':
      return state.step === 'opening' ? state.endsAt : answersDueAt(state);
    case 'aggregating':
      return state.step === 'summing' ? state.endsAt : Number.POSITIVE_INFINITY;
    default:
      return Number.POSITIVE_INFINITY;
  }
}

// ------------------------------------------------------------------ idle

function whileIdle(state: Idle, event: RoundEvent): Step {
  if (event.type === 'candidates' && event.ranked.length >= Math.max(1, state.limits.startWith)) {
    const { now, ranked } = event;
    const opened: Recruiting = {
      ...state,
      phase: 'recruiting',
      candidates: ranked,
      members: new Map(),
      changedAt: now,
      endsAt: now + state.limits.recruitMs,
    };
    return settle(opened, now, []);
  }
  if (event.type === 'cancel' || event.type === 'broke') return fail(state, new Map(), reasonOf(event), []);
  return { state, effects: answer(state, event) };
}

// ------------------------------------------------------------------ aggregating and after

function whileAggregating(state: Aggregating, event: RoundEvent): Step {
  const { now } = event;
  switch (event.type) {
    case 'away':
    case 'back': {
      const awaySince = event.type === 'away' ? now : null;
      return { state: { ...state, members: withPresence(state.members, event.participant, awaySince) }, effects: [] };
    }
    case 'aggregated':
      if (state.step !== 'summing' || event.exchange !== state.exchange) return { state, effects: [] };
      return onAggregated(state, event.counted ?? state.reports, now);
    case 'stored': {
      if (state.step !== 'storing') return { state, effects: [] };
      const { round, attempt, limits, members, reports } = state;
      return {
        state: { phase: 'committed', round, attempt, limits, members, reports },
        effects: [{ type: 'committed', reports }],
      };
    }
    case 'cancel':
      // A commit that has begun is finished: it cannot be taken back.
      return state.step === 'storing' ? { state, effects: [] } : fail(state, state.members, 'round/cancelled', []);
    case 'broke':
      return fail(state, state.members, event.code, []);
    case 'tick':
      return now >= deadlineOf(state) ? fail(state, state.members, 'internal', []) : { state, effects: [] };
    default:
      return { state, effects: answer(state, event) };
  }
}

/** Whose group could not be opened is out: its reports are in no sum, and nobody can mask with it again. */
function onAggregated(state: Aggregating, counted: readonly ParticipantId[], now: number): Step {
  const inSum = new Set(counted);
  const reports = state.reports.filter((id) => inSum.has(id));
  const lost = idsOf(state.members, 'reported').filter((id) => !inSum.has(id));
  const members = putOut(state.members, 'secagg/unrecoverable', lost);
  const effects = dismissed(lost, 'secagg/unrecoverable');
  if (reports.length < state.limits.minReports) return fail(state, members, 'round/too-few-reports', effects);
  const next = { ...state, members, reports };
  const step = state.exchange + 1 < state.limits.exchanges ? nextExchange(next, now) : startStoring(next);
  return { state: step.state, effects: [...effects, ...step.effects] };
}

function nextExchange(state: Aggregating, now: number): Step {
  const exchange = state.exchange + 1;
  const { round, attempt, limits } = state;
  const members = carriedOver(state.members, now);
  const next: Training = {
    phase: 'training',
    round,
    attempt,
    limits,
    exchange,
    members,
    startedAt: now,
    endsAt: now + limits.trainMs,
  };
  return settleTraining(next, now, [{ type: 'exchange', exchange, participants: idsOf(members, 'working') }]);
}

const startStoring = (state: Aggregating): Step => ({
  state: { ...state, step: 'storing' },
  effects: [{ type: 'commit', reports: state.reports }],
});
