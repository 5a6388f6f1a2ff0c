/** Pure operations on the members of an attempt: who is where, who has been away too long, who could still report. */
import type { ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import type { Member, Members } from './round-state.ts';

export type Standing = Member['standing'];

/** A copy of `members` in which some entries are replaced. */
export function withMembers(members: Members, entries: Iterable<readonly [ParticipantId, Member]>): Members {
  const copy = new Map(members);
  for (const [id, member] of entries) copy.set(id, member);
  return copy;
}

export const withMember = (members: Members, id: ParticipantId, member: Member): Members =>
  withMembers(members, [[id, member]]);

export const countOf = (members: Members, ...standings: readonly Standing[]): number => {
  let count = 0;
  for (const member of members.values()) if (standings.includes(member.standing)) count++;
  return count;
};

export const idsOf = (members: Members, ...standings: readonly Standing[]): readonly ParticipantId[] =>
  [...members].filter(([, member]) => standings.includes(member.standing)).map(([id]) => id);

/** Everyone who was asked and is not out: these are told how the attempt ends. */
export const present = (members: Members): readonly ParticipantId[] =>
  idsOf(members, 'offered', 'working', 'verifying', 'reported');

/** How many have accepted and are not out: each has reported or still may. */
export const countIn = (members: Members): number => countOf(members, 'working', 'verifying', 'reported');

/** Ends of an attempt for which one participant is to blame, and nobody can tell which: masks hide what each has sent. */
const UNATTRIBUTED: ReadonlySet<ErrorCode> = new Set(['report/out-of-bounds', 'secagg/unrecoverable']);

/**
 * Who is asked last in the next attempt: those who were asked in vain; everybody, where nobody can tell who is to blame, so that the
 * next attempt is made with others if there are any.
 */
export const askedLast = (members: Members, reason: ErrorCode): readonly ParticipantId[] =>
  UNATTRIBUTED.has(reason) ? [...members.keys()] : idsOf(members, 'offered', 'out');

/** Puts these members out. */
export const putOut = (members: Members, code: ErrorCode, ids: readonly ParticipantId[]): Members =>
  withMembers(
    members,
    ids.map((id) => [id, { standing: 'out', code }] as const),
  );

/** Notes that a connection broke (`awaySince`) or that the participant is back (null); an offer that was not accepted lapses. */
export function withPresence(members: Members, id: ParticipantId, awaySince: number | null): Members {
  const member = members.get(id);
  if (!member || member.standing === 'out') return members;
  if (member.standing !== 'offered') return withMember(members, id, { ...member, awaySince });
  return awaySince === null ? members : new Map([...members].filter(([other]) => other !== id));
}

/** Puts out who works but has been away for the grace period. */
export function withoutLost(members: Members, now: number, graceMs: number): Members {
  const lost: (readonly [ParticipantId, Member])[] = [];
  for (const [id, member] of members) {
    if (member.standing === 'working' && member.awaySince !== null && now >= member.awaySince + graceMs) {
      lost.push([id, { standing: 'out', code: 'net/closed' }]);
    }
  }
  return lost.length === 0 ? members : withMembers(members, lost);
}

/** The next time at which `withoutLost` would change something, or Infinity. */
export function nextLossAt(members: Members, graceMs: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const member of members.values()) {
    if (member.standing === 'working' && member.awaySince !== null) next = Math.min(next, member.awaySince + graceMs);
  }
  return next;
}

/** The members of the next exchange: those whose report counted in the last one, each with a fresh start; the others are out. */
export const carriedOver = (members: Members, now: number): Members =>
  withMembers(
    members,
    [...members].flatMap(([id, member]) =>
      member.standing === 'reported'
        ? [[id, { standing: 'working', awaySince: member.awaySince === null ? null : now }] as const]
        : [],
    ),
  );
