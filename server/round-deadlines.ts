/** When what participants owe is due, in the phases that await all of them, and who is past that. */
import type { ParticipantId } from '../protocol/ids.ts';
import { countOf, idsOf, nextLossAt } from './round-members.ts';
import type { Securing, Training } from './round-state.ts';

type Awaiting = Pick<Training | Securing, 'members' | 'limits' | 'endsAt'>;

/** Who works has until the end, and who is away until it is lost; what came in time may take a little longer to look at. */
export function answersDueAt({ members, limits, endsAt }: Awaiting): number {
  const ends = countOf(members, 'working') > 0 ? endsAt : endsAt + limits.aggregateMs;
  return Math.min(ends, nextLossAt(members, limits.graceMs));
}

/** Those whose report, or the look at it, is waited for no longer. */
export function overdue({ members, limits, endsAt }: Awaiting, now: number): readonly ParticipantId[] {
  const late = now >= endsAt ? idsOf(members, 'working') : [];
  const tooLong = now >= endsAt + limits.aggregateMs ? idsOf(members, 'verifying') : [];
  return [...late, ...tooLong];
}
