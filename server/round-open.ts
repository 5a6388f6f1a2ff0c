/**
 * The open phases of an attempt: recruiting and training. Both take reports, since who accepts starts at once.
 * Every event ends in `settle`, which does what is due: drops the lost, asks the next, closes recruiting, closes training, or fails.
 */
import type { ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import { dismissed, fail, leftMs, reasonOf, refuse } from './round-answers.ts';
import { overdue } from './round-deadlines.ts';
import {
  countIn,
  countOf,
  idsOf,
  present,
  putOut,
  withMember,
  withMembers,
  withoutLost,
  withPresence,
} from './round-members.ts';
import { startSecuring } from './round-securing.ts';
import type {
  Aggregating,
  Members,
  Recruiting,
  Report,
  RoundEffect,
  RoundEvent,
  Step,
  Training,
} from './round-state.ts';
import { afterReport, afterVerdict, codeOfOut } from './round-turn.ts';

const exchangeOf = (state: Recruiting | Training | Aggregating): number =>
  state.phase === 'recruiting' ? 0 : state.exchange;

export function whileOpen(state: Recruiting | Training, event: RoundEvent): Step {
  const { now } = event;
  switch (event.type) {
    case 'candidates': {
      if (state.phase !== 'recruiting') return { state, effects: [] };
      const known = new Set(state.candidates);
      const someoneNew = event.ranked.some((id) => !known.has(id));
      const changedAt = someoneNew ? now : state.changedAt;
      return settle({ ...state, candidates: event.ranked, changedAt }, now, []);
    }
    case 'accept':
      return onAccept(state, event.participant, now);
    case 'decline': {
      const standing = state.members.get(event.participant)?.standing;
      // Who has accepted may still give up, for example when its training fails; nobody waits for it then.
      if (standing !== 'offered' && standing !== 'working') return { state, effects: [] };
      const members = withMember(state.members, event.participant, { standing: 'out', code: event.code });
      return settle(changed(state, members, now), now, []);
    }
    case 'away':
      return onAway(state, event.participant, now);
    case 'back':
      return settle({ ...state, members: withPresence(state.members, event.participant, null) }, now, []);
    case 'report':
      return onReport(state, event, now);
    case 'verified':
    case 'rejected':
      return onVerdict(state, event, now);
    case 'cancel':
    case 'broke':
      return fail(state, state.members, reasonOf(event), []);
    case 'tick':
      return settle(state, now, []);
    case 'aggregated':
    case 'stored':
    case 'opened':
    case 'enough':
      return { state, effects: [] };
  }
}

/** In recruiting, a change restarts the wait for latecomers. */
const changed = (state: Recruiting | Training, members: Members, now: number): Recruiting | Training =>
  state.phase === 'recruiting' ? { ...state, members, changedAt: now } : { ...state, members };

/** Who goes away before accepting may be asked again when it comes back; who had accepted keeps its place for a while. */
function onAway(state: Recruiting | Training, participant: ParticipantId, now: number): Step {
  const members = withPresence(state.members, participant, now);
  const next = members === state.members ? state : changed(state, members, now);
  if (next.phase === 'training') return settle(next, now, []);
  return settle({ ...next, candidates: next.candidates.filter((id) => id !== participant) }, now, []);
}

function onAccept(state: Recruiting | Training, participant: ParticipantId, now: number): Step {
  const member = state.members.get(participant);
  const no = (code: ErrorCode): Step => ({
    state,
    effects: [refuse(participant, code, leftMs(state.endsAt, now))],
  });
  if (!member) return no(state.phase === 'recruiting' ? 'round/not-selected' : 'round/full');
  const admit: RoundEffect = { type: 'admit', participant, exchange: exchangeOf(state) };
  switch (member.standing) {
    case 'offered': {
      const members = withMember(state.members, participant, { standing: 'working', awaySince: null });
      return settle(changed(state, members, now), now, [admit]);
    }
    case 'working':
      // It came back, or repeats itself: the same answer, and nothing is counted twice.
      return settle({ ...state, members: withPresence(state.members, participant, null) }, now, [admit]);
    case 'verifying':
    case 'reported':
      // Whose keys are in still waits for those of the others.
      if (state.limits.secure) {
        return settle({ ...state, members: withPresence(state.members, participant, null) }, now, [admit]);
      }
      return no('round/duplicate');
    case 'out':
      return no(codeOfOut(member));
  }
}

function onReport(state: Recruiting | Training, report: Report, now: number): Step {
  const { members, effects } = afterReport(state, report, now);
  return settle({ ...state, members }, now, effects);
}

type Verdict = Extract<RoundEvent, { type: 'verified' | 'rejected' }>;

function onVerdict(state: Recruiting | Training, event: Verdict, now: number): Step {
  const { members, effects } = afterVerdict(state, event);
  if (members === state.members) return { state, effects };
  return settle(event.type === 'rejected' ? changed(state, members, now) : { ...state, members }, now, effects);
}

/** Does what is due: drops the lost, asks the next candidates, closes recruiting, closes training, or fails. */
export function settle(state: Recruiting | Training, now: number, effects: readonly RoundEffect[]): Step {
  const members = withoutLost(state.members, now, state.limits.graceMs);
  const kept = members === state.members ? state : changed(state, members, now);
  return kept.phase === 'recruiting' ? settleRecruiting(kept, now, effects) : settleTraining(kept, now, effects);
}

/** When recruiting may end early: enough have accepted, all who could be asked have answered, and nobody came since. */
export function quietAt(state: Recruiting): number {
  const { members, limits, candidates } = state;
  const enough = countIn(members) >= limits.minReports;
  const settled = countOf(members, 'offered') === 0 && candidates.every((id) => members.has(id));
  return enough && settled ? state.changedAt + limits.settleMs : Number.POSITIVE_INFINITY;
}

function settleRecruiting(state: Recruiting, now: number, effects: readonly RoundEffect[]): Step {
  const { limits } = state;
  const open = limits.target - present(state.members).length;
  const asked = state.candidates.filter((id) => !state.members.has(id)).slice(0, Math.max(0, open));
  const members = withMembers(
    state.members,
    asked.map((id) => [id, { standing: 'offered' }] as const),
  );
  const next: Recruiting = { ...state, members };
  const all: readonly RoundEffect[] = asked.length > 0 ? [...effects, { type: 'offer', participants: asked }] : effects;

  const accepted = countIn(members);
  const waiting = countOf(members, 'offered');
  const complete = accepted >= limits.target || (accepted >= limits.cohort && waiting === 0);
  const inTime = !limits.waitForAll && countOf(members, 'reported') >= limits.cohort;
  const over = now >= state.endsAt || now >= quietAt(next);
  if (!complete && !inTime && !over) return { state: next, effects: all };
  if (accepted < limits.minReports) return fail(next, members, 'round/too-few-participants', all);

  const unanswered = idsOf(members, 'offered');
  const closed: Training = {
    phase: 'training',
    round: state.round,
    attempt: state.attempt,
    limits,
    exchange: 0,
    members: putOut(members, 'round/full', unanswered),
    startedAt: now,
    endsAt: now + limits.trainMs,
  };
  return settleTraining(closed, now, [...all, ...dismissed(unanswered, 'round/full')]);
}

export function settleTraining(state: Training, now: number, effects: readonly RoundEffect[]): Step {
  const { limits } = state;
  const reported = countOf(state.members, 'reported');
  if (!limits.waitForAll && reported >= limits.cohort) return closeTraining(state, now, effects);

  const gone = overdue(state, now);
  const members = putOut(state.members, 'round/late', gone);
  const next: Training = { ...state, members };
  const all = [...effects, ...dismissed(gone, 'round/late')];
  const possible = countIn(members);
  if (possible < limits.minReports) return fail(next, members, 'round/too-few-reports', all);
  return possible === reported ? closeTraining(next, now, all) : { state: next, effects: all };
}

function closeTraining(state: Training, now: number, effects: readonly RoundEffect[]): Step {
  if (state.limits.secure) return startSecuring(state, now, effects);
  const late = idsOf(state.members, 'working', 'verifying');
  const reports = idsOf(state.members, 'reported');
  const summing: Aggregating = {
    phase: 'aggregating',
    step: 'summing',
    round: state.round,
    attempt: state.attempt,
    limits: state.limits,
    exchange: state.exchange,
    members: putOut(state.members, 'round/late', late),
    reports,
    endsAt: now + state.limits.aggregateMs,
  };
  return {
    state: summing,
    effects: [...effects, ...dismissed(late, 'round/late'), { type: 'aggregate', exchange: state.exchange, reports }],
  };
}
