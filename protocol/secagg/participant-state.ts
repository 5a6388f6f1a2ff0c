/**
 * What a participant does next, and what it never does: a state machine that only goes forward, through the stages of a session and
 * the exchanges of its round, without any cryptography (SPEC.md §13.1). What is checked by cryptography comes in as roster indices.
 */
import { TacitError } from '../errors.ts';
import { checkAgreed, checkMembers, checkSurvivors, type GroupView, type Reveal, revealOf } from './rules.ts';

interface InGroup {
  readonly group: GroupView;
}
interface InExchange extends InGroup {
  readonly exchange: number;
  /** Roster indices of those with whom one masks in this exchange. */
  readonly members: readonly number[];
}

export type ParticipantState =
  | { readonly phase: 'opened' }
  | { readonly phase: 'advertised' }
  | ({ readonly phase: 'shared' } & InGroup)
  | ({ readonly phase: 'ready' } & InExchange)
  | ({ readonly phase: 'masked' } & InExchange)
  | ({ readonly phase: 'agreed'; readonly survivors: readonly number[] } & InExchange)
  | { readonly phase: 'finished' }
  | { readonly phase: 'failed' };

export type ParticipantEvent =
  | { readonly type: 'advertise' }
  /** The roster was checked (`checkRoster`) and one's group drawn. */
  | { readonly type: 'roster'; readonly group: GroupView }
  | { readonly type: 'delivery'; readonly members: readonly number[] }
  | { readonly type: 'mask'; readonly exchange: number }
  | { readonly type: 'survivors'; readonly exchange: number; readonly survivors: readonly number[] }
  /** Who signed exactly one's own survivors, every signature verified. */
  | { readonly type: 'agreements'; readonly exchange: number; readonly agreed: readonly number[] };

/** The next state, and with `agreements` whose secrets are to be revealed. */
export interface Advance {
  readonly state: ParticipantState;
  readonly reveal?: Reveal;
}

const unexpected = (state: ParticipantState, event: ParticipantEvent): TacitError =>
  new TacitError('wire/unexpected', `${event.type} while the session is ${state.phase}`);

function sameExchange(state: InExchange, event: { readonly exchange: number }): void {
  if (state.exchange !== event.exchange) {
    throw new TacitError('wire/unexpected', `exchange ${event.exchange} while ${state.exchange} is going on`);
  }
}

/**
 * One step. @param exchanges how many the session has
 * @throws TacitError wire/unexpected out of order, secagg/refused and round/too-few-participants by the rules; the session is over then
 */
export function advance(state: ParticipantState, event: ParticipantEvent, exchanges: number): Advance {
  switch (event.type) {
    case 'advertise':
      if (state.phase !== 'opened') throw unexpected(state, event);
      return { state: { phase: 'advertised' } };
    case 'roster':
      if (state.phase !== 'advertised') throw unexpected(state, event);
      return { state: { phase: 'shared', group: event.group } };
    case 'delivery':
      if (state.phase !== 'shared') throw unexpected(state, event);
      checkMembers(state.group, event.members);
      return { state: { phase: 'ready', group: state.group, exchange: 0, members: event.members } };
    case 'mask':
      if (state.phase !== 'ready') throw unexpected(state, event);
      sameExchange(state, event);
      return { state: { ...state, phase: 'masked' } };
    case 'survivors':
      if (state.phase !== 'masked') throw unexpected(state, event);
      sameExchange(state, event);
      checkSurvivors(state.group, state.members, event.survivors);
      return { state: { ...state, phase: 'agreed', survivors: event.survivors } };
    case 'agreements':
      if (state.phase !== 'agreed') throw unexpected(state, event);
      sameExchange(state, event);
      checkAgreed(state.group, state.survivors, event.agreed);
      return { state: afterUnmasking(state, exchanges), reveal: revealOf(state.members, state.survivors) };
    default:
      return event satisfies never;
  }
}

/** Who is lost in one exchange is out of the next: its masks are shared with the survivors only. */
function afterUnmasking(state: ParticipantState & { readonly phase: 'agreed' }, exchanges: number): ParticipantState {
  const exchange = state.exchange + 1;
  if (exchange === exchanges) return { phase: 'finished' };
  return { phase: 'ready', group: state.group, exchange, members: state.survivors };
}
