/** What a person sees of a participant's events: what changes the situation stays, what passes is live. */
import type { ParticipantEvent } from '../client/events.ts';
import type { Traffic } from '../client/traffic.ts';
import { type Line, live, log } from './progress.ts';
import { formatBytes, formatCount, formatSeconds } from './units.ts';

const TRUSTED =
  'note: that fingerprint was neither in the address nor given with --fingerprint, so it was taken on trust';

const lossOf = (loss: number | undefined): string => (loss === undefined ? '' : ` · loss ${loss.toFixed(3)}`);

/** The line for an event. Rounds are counted from 1 for people. */
export function participantLine(event: ParticipantEvent, traffic: Readonly<Traffic>): Line {
  const bytes = `↑ ${formatBytes(traffic.up)} ↓ ${formatBytes(traffic.down)}`;
  switch (event.type) {
    case 'engine':
      return log(`engine ${event.engine} (${event.reason})`);
    case 'connecting':
      return live('connecting …');
    case 'joined': {
      const text = `joined as ${event.participant}; the coordinator's fingerprint is ${event.fingerprint}`;
      return log(event.pinned ? text : `${text}\n${TRUSTED}`);
    }
    case 'plan': {
      const { task, rounds, training, privacy } = event.plan;
      const work = `${formatCount(rounds.count, 'round')} of ${formatCount(training.steps, 'step')}, ${formatCount(event.parameters, 'parameter')}`;
      return log(`task ${task}: ${work}, privacy mode ${privacy.mode}`);
    }
    case 'refused':
      return log(event.refusals.map(({ floor, reason }) => `refused: ${reason} (${floor})`).join('\n'));
    case 'waiting':
      return live(`waiting for a round (${event.code}) · ${bytes}`);
    case 'retrying':
      return log(`${event.error.message}; trying again in ${formatSeconds(event.waitMs / 1000)} (${event.attempt})`);
    case 'finished':
      return log(`finished after ${formatCount(event.rounds, 'round')} · ${bytes}`);
    default:
      return roundLine(event, bytes);
  }
}

type RoundEvent = Extract<ParticipantEvent, { readonly round: number; readonly attempt: number }>;

function roundLine(event: RoundEvent, bytes: string): Line {
  const round = `round ${event.round + 1}`;
  switch (event.type) {
    case 'offer':
      return live(`${round}: invited · ${bytes}`);
    case 'declined':
      return log(`${round}: declined, ${event.reason}`);
    case 'downloading':
      return live(`${round}: model ${formatBytes(event.bytes)} of ${formatBytes(event.total)}`);
    case 'training':
      return live(`${round}: step ${event.step} of ${event.steps}${lossOf(event.loss)} · ${bytes}`);
    case 'trained':
      return live(`${round}: trained on ${formatCount(event.examples, 'example')}${lossOf(event.loss)}`);
    case 'charged':
      return log(
        `${round}: this participant's reports add up to ε = ${event.epsilon.toFixed(3)} of at most ${event.budget} at δ = ${event.delta}`,
      );
    case 'uploading':
      return live(`${round}: report ${formatBytes(event.bytes)} of ${formatBytes(event.total)}`);
    case 'reported':
      return live(`${round}: reported · ${bytes}`);
    case 'committed': {
      const others = event.mine ? '' : ', without this one';
      return log(`${round} committed with ${formatCount(event.participants, 'participant')}${others} · ${bytes}`);
    }
    case 'failed':
      return log(`${round}, attempt ${event.attempt + 1} failed: ${event.reason}`);
    default:
      return event satisfies never;
  }
}
