/**
 * The phase `securing` of an attempt: the participants that were ready with their training exchange their sum under masks, stage by
 * stage. Who does not answer in time is out of the rest of the round; what is missing is recovered by those who stay.
 */
import type { ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import { answer, dismissed, fail, reasonOf } from './round-answers.ts';
import { overdue } from './round-deadlines.ts';
import {
  countIn,
  countOf,
  idsOf,
  putOut,
  withMember,
  withMembers,
  withoutLost,
  withPresence,
} from './round-members.ts';
import type { Aggregating, Report, RoundEffect, RoundEvent, Securing, Step, Training } from './round-state.ts';
import { afterReport, afterVerdict, STAGES } from './round-turn.ts';

/** Training has ended: with keys in the first exchange, with masked words in the later ones. */
export function startSecuring(training: Training, now: number, effects: readonly RoundEffect[]): Step {
  const { round, attempt, limits, exchange, members } = training;
  const stage = exchange === 0 ? 'sharing' : 'agreeing';
  const survivors = exchange === 0 ? [] : idsOf(members, 'reported');
  const late = idsOf(members, 'working', 'verifying');
  const state: Securing = {
    phase: 'securing',
    stage,
    step: 'opening',
    round,
    attempt,
    limits,
    exchange,
    members: putOut(members, 'round/late', late),
    survivors,
    enough: false,
    endsAt: now + limits.aggregateMs,
  };
  return { state, effects: [...effects, ...dismissed(late, 'round/late'), { type: 'secure', exchange, stage }] };
}

export function whileSecuring(state: Securing, event: RoundEvent): Step {
  const { now } = event;
  switch (event.type) {
    case 'away':
    case 'back': {
      const awaySince = event.type === 'away' ? now : null;
      return settle({ ...state, members: withPresence(state.members, event.participant, awaySince) }, now, []);
    }
    case 'accept':
      return onAccept(state, event.participant, now);
    case 'decline':
      return onDecline(state, event.participant, event.code, now);
    case 'opened':
      return onOpened(state, event, now);
    case 'enough':
      if (state.stage !== 'unmasking' || event.exchange !== state.exchange) return { state, effects: [] };
      return settle({ ...state, enough: true }, now, []);
    case 'report':
      return onReport(state, event, now);
    case 'verified':
    case 'rejected':
      return onVerdict(state, event, now);
    case 'cancel':
    case 'broke':
      return fail(state, state.members, reasonOf(event), []);
    case 'tick':
      if (state.step === 'opening' && now >= state.endsAt) return fail(state, state.members, 'internal', []);
      return settle(state, now, []);
    default:
      return { state, effects: answer(state, event) };
  }
}

/** Who comes back gets its place again: what the stage starts from is sent to it once more. */
function onAccept(state: Securing, participant: ParticipantId, now: number): Step {
  const member = state.members.get(participant);
  if (!member || member.standing === 'offered' || member.standing === 'out')
    return { state, effects: answer(state, { type: 'accept', participant, now }) };
  const members = withPresence(state.members, participant, null);
  return settle({ ...state, members }, now, [{ type: 'admit', participant, exchange: state.exchange }]);
}

function onDecline(state: Securing, participant: ParticipantId, code: ErrorCode, now: number): Step {
  const standing = state.members.get(participant)?.standing;
  if (standing !== 'working' && standing !== 'reported') return { state, effects: [] };
  // its words are in the sum already, and can be opened without it
  const counted = standing === 'reported' && state.stage === 'masking' && state.step === 'open';
  const survivors = counted ? [...state.survivors, participant] : state.survivors;
  const members = withMember(state.members, participant, { standing: 'out', code });
  return settle({ ...state, members, survivors }, now, []);
}

function onOpened(state: Securing, event: Extract<RoundEvent, { type: 'opened' }>, now: number): Step {
  if (state.step !== 'opening' || event.stage !== state.stage || event.exchange !== state.exchange) {
    return { state, effects: [] };
  }
  const asked = new Set(event.participants);
  const entries = [...state.members].flatMap(([id, member]) => {
    if (member.standing !== 'reported') return [];
    const next = asked.has(id)
      ? ({ standing: 'working', awaySince: member.awaySince === null ? null : now } as const)
      : ({ standing: 'out', code: 'round/too-few-participants' } as const);
    return [[id, next] as const];
  });
  const left = entries.filter(([, member]) => member.standing === 'out').map(([id]) => id);
  const open: Securing = {
    ...state,
    step: 'open',
    members: withMembers(state.members, entries),
    endsAt: now + state.limits.stageMs,
  };
  return settle(open, now, dismissed(left, 'round/too-few-participants'));
}

function onReport(state: Securing, report: Report, now: number): Step {
  const { members, effects } = afterReport(state, report, now);
  return settle({ ...state, members }, now, effects);
}

function onVerdict(state: Securing, event: Extract<RoundEvent, { type: 'verified' | 'rejected' }>, now: number): Step {
  const { members, effects } = afterVerdict(state, event);
  return members === state.members ? { state, effects } : settle({ ...state, members }, now, effects);
}

/** Those whose answer is waited for no longer: also who is away, once there are enough answers without it. */
function givenUp(state: Securing, now: number): readonly ParticipantId[] {
  const away = state.enough
    ? [...state.members].filter(([, m]) => m.standing === 'working' && m.awaySince !== null).map(([id]) => id)
    : [];
  return [...new Set([...overdue(state, now), ...away])];
}

/** Does what is due: drops the lost and the late, fails when too few are left, goes on when nobody is awaited. */
function settle(state: Securing, now: number, effects: readonly RoundEffect[]): Step {
  if (state.step === 'opening') return { state, effects };
  const { limits } = state;
  const present = { ...state, members: withoutLost(state.members, now, limits.graceMs) };
  const gone = givenUp(present, now);
  const members = putOut(present.members, 'round/late', gone);
  const next: Securing = { ...present, members };
  const all = [...effects, ...dismissed(gone, 'round/late')];
  const summing = state.stage === 'sharing' || state.stage === 'masking';
  if (summing && countIn(members) < limits.minReports) return fail(next, members, 'round/too-few-reports', all);
  return countOf(members, 'working', 'verifying') > 0 ? { state: next, effects: all } : closeStage(next, now, all);
}

function closeStage(state: Securing, now: number, effects: readonly RoundEffect[]): Step {
  const { exchange, members, limits } = state;
  const endsAt = now + limits.aggregateMs;
  const stage = STAGES[STAGES.indexOf(state.stage) + 1];
  if (stage) {
    const added = state.stage === 'masking' ? idsOf(members, 'reported') : [];
    const survivors = [...state.survivors, ...added];
    const next: Securing = { ...state, stage, step: 'opening', survivors, endsAt };
    return { state: next, effects: [...effects, { type: 'secure', exchange, stage }] };
  }
  const { round, attempt, survivors: reports } = state;
  const summing: Aggregating = {
    phase: 'aggregating',
    step: 'summing',
    round,
    attempt,
    limits,
    exchange,
    members,
    reports,
    endsAt,
  };
  return { state: summing, effects: [...effects, { type: 'aggregate', exchange, reports }] };
}
