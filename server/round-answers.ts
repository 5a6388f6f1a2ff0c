/** What a participant is told when its frame does not fit the attempt, and how an attempt ends in failure. */
import type { ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import { present } from './round-members.ts';
import type { Failed, Members, RoundEffect, RoundEvent, RoundState, Step } from './round-state.ts';

/** What a participant is told to wait when nothing better is known; it is offered the next attempt unasked anyway. */
const PAUSE_MS = 1000;

export const leftMs = (endsAt: number, now: number): number => Math.max(PAUSE_MS, endsAt - now);

export const refuse = (participant: ParticipantId, code: ErrorCode, retryAfterMs = PAUSE_MS): RoundEffect => ({
  type: 'refuse',
  participant,
  code,
  retryAfterMs,
});

export const dismissed = (participants: readonly ParticipantId[], code: ErrorCode): readonly RoundEffect[] =>
  participants.length > 0 ? [{ type: 'dismiss', participants, code }] : [];

export const reasonOf = (event: Extract<RoundEvent, { type: 'cancel' | 'broke' }>): ErrorCode =>
  event.type === 'cancel' ? 'round/cancelled' : event.code;

export function fail(state: RoundState, members: Members, reason: ErrorCode, effects: readonly RoundEffect[]): Step {
  const { round, attempt, limits } = state;
  const failed: Failed = { phase: 'failed', round, attempt, limits, reason, members };
  return { state: failed, effects: [...effects, { type: 'failed', reason, participants: present(members) }] };
}

/** Requests that come when the cohort is closed: each gets its code. */
export function answer(state: RoundState, event: RoundEvent): readonly RoundEffect[] {
  if (event.type === 'verified') return [refuse(event.participant, 'round/late')];
  if (event.type !== 'accept' && event.type !== 'report') return [];
  const member = state.phase === 'idle' ? undefined : state.members.get(event.participant);
  if (!member) return [refuse(event.participant, 'round/stale')];
  if (member.standing === 'reported') return [refuse(event.participant, 'round/duplicate')];
  if (event.type === 'accept') return [refuse(event.participant, 'round/late')];
  return [
    refuse(
      event.participant,
      member.standing === 'out' && member.code.startsWith('report/') ? member.code : 'round/late',
    ),
  ];
}
