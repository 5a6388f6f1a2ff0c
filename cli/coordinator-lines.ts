/** What a person sees of a coordinator's events; committed and failed rounds are shown by the writer of the run folder. */
import type { CoordinatorEvent } from '../server/events.ts';
import { type Line, live, log } from './progress.ts';
import { formatCount } from './units.ts';

/** The line for an event, if it has one of its own. Rounds are counted from 1 for people. */
export function coordinatorLine(event: CoordinatorEvent): Line | undefined {
  switch (event.type) {
    case 'joined':
      return log(
        `${event.participant} joined (${event.platform}, ${event.engine}); ${formatCount(event.participants, 'participant')} here`,
      );
    case 'left':
      return log(`${event.participant} left (${event.reason}); ${formatCount(event.participants, 'participant')} here`);
    case 'waiting':
      return live(`waiting for participants: ${event.participants} of ${event.needed}`);
    case 'recruiting':
      return live(`round ${event.round + 1}/${event.rounds}: inviting`);
    case 'accepted':
      return live(`round ${event.round + 1}: ${event.accepted} accepted`);
    case 'training':
      return live(`round ${event.round + 1}: ${formatCount(event.participants, 'participant')} training`);
    case 'report':
      return live(`round ${event.round + 1}: ${formatCount(event.reports, 'report')}`);
    case 'aggregating':
      return live(`round ${event.round + 1}: adding up ${formatCount(event.reports, 'report')}`);
    case 'declined':
      return log(`round ${event.round + 1}: ${event.participant} declined (${event.code})`);
    case 'refused':
      return log(`a request of ${event.participant} was refused: ${event.request} (${event.code})`);
    case 'dropped':
      return log(`the connection of ${event.remote} was ended (${event.code})`);
    case 'committed':
    case 'failed':
    case 'finished':
      return undefined;
    default:
      return event satisfies never;
  }
}
