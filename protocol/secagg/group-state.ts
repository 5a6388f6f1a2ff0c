/**
 * Who is in at each stage of a group, and whether it goes on, as the coordinator decides it: a state machine over roster indices,
 * without any cryptography (SPEC.md §13.1). Everyone has one turn in a stage; closing a stage makes those whose turn came the ones of
 * whom the next stage hears. What has been closed stays closed: there is never a second list of survivors.
 */
import { TacitError } from '../errors.ts';
import { answersNeeded, everyone } from './rules.ts';

export type GroupStage = 'sharing' | 'masking' | 'agreeing' | 'unmasking' | 'done' | 'failed';

export interface GroupState {
  readonly size: number;
  readonly floor: number;
  readonly stage: GroupStage;
  readonly exchange: number;
  /** Whose turn it is, ascending. */
  readonly expected: readonly number[];
  /** Whose turn came. */
  readonly arrived: ReadonlySet<number>;
  /** Who masks with each other in this exchange: U2, and then the survivors of the exchange before. */
  readonly members: readonly number[];
  /** U3 of this exchange, once it is closed. */
  readonly survivors: readonly number[];
}

export const openGroup = (size: number, floor: number): GroupState => ({
  size,
  floor,
  stage: 'sharing',
  exchange: 0,
  expected: everyone(size),
  arrived: new Set(),
  members: [],
  survivors: [],
});

/** Whether a body may be taken. @throws TacitError wire/unexpected before its stage, round/late after it or for those who are out */
export function checkTurn(state: GroupState, stage: GroupStage, exchange: number, index: number): void {
  const order: readonly GroupStage[] = ['sharing', 'masking', 'agreeing', 'unmasking', 'done', 'failed'];
  // sharing comes once, before all exchanges
  const place = (s: GroupStage, e: number): number => (s === 'sharing' ? 0 : 1 + 4 * e + order.indexOf(s));
  const now = state.stage === 'failed' ? Number.POSITIVE_INFINITY : place(state.stage, state.exchange);
  if (place(stage, exchange) > now)
    throw new TacitError('wire/unexpected', `${stage} of exchange ${exchange} has not begun`);
  if (place(stage, exchange) < now) throw new TacitError('round/late', `${stage} of exchange ${exchange} is over`);
  if (!state.expected.includes(index)) throw new TacitError('round/late', 'the participant is out of the session');
  if (state.arrived.has(index))
    throw new TacitError('round/duplicate', `${stage} of exchange ${exchange} a second time`);
}

/** The participant's turn has come; `checkTurn` holds. */
export const arrive = (state: GroupState, index: number): GroupState => ({
  ...state,
  arrived: new Set(state.arrived).add(index),
});

const FAILED = { stage: 'failed', expected: [], arrived: new Set<number>() } as const;

/** Fewest of a stage that the next may begin with. */
export function neededOf({ stage, size, floor }: GroupState): number {
  const answers = answersNeeded(size);
  return stage === 'sharing' || stage === 'masking' ? Math.max(answers, floor) : answers;
}

/** Whether the stage can be closed now with success. */
export const isEnough = (state: GroupState): boolean => state.arrived.size >= neededOf(state);

/** Whose turn has not come. */
export const awaitedIn = ({ expected, arrived }: GroupState): number[] => expected.filter((v) => !arrived.has(v));

/** Ends the stage: the next one with those who were there, or failure if they are too few. @param exchanges of the session */
export function close(state: GroupState, exchanges: number): GroupState {
  if (!isEnough(state)) return { ...state, ...FAILED };
  const there = state.expected.filter((v) => state.arrived.has(v));
  const next = { ...state, expected: there, arrived: new Set<number>() };
  switch (state.stage) {
    case 'sharing':
      return { ...next, stage: 'masking', members: there };
    case 'masking':
      return { ...next, stage: 'agreeing', survivors: there };
    case 'agreeing':
      return { ...next, stage: 'unmasking' };
    case 'unmasking':
      return state.exchange + 1 === exchanges
        ? { ...next, stage: 'done', expected: [] }
        : {
            ...next,
            stage: 'masking',
            exchange: state.exchange + 1,
            expected: state.survivors,
            members: state.survivors,
            survivors: [],
          };
    case 'done':
    case 'failed':
      return state;
    default:
      return state.stage satisfies never;
  }
}

/** The group cannot be opened. */
export const fail = (state: GroupState): GroupState => ({ ...state, ...FAILED });
