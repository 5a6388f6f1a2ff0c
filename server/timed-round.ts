/** The round machine on a clock: every event is given its time, and the machine is woken when something is due. */
import type { Clock } from './clock.ts';
import { deadlineOf, transition } from './round.ts';
import type { RoundEffect, RoundEvent, RoundState } from './round-state.ts';

type Untimed<E> = E extends RoundEvent ? Omit<E, 'now'> : never;
export type UntimedEvent = Untimed<RoundEvent>;

/** Carries out the effects of one step. */
export type OnStep = (before: RoundState, after: RoundState, effects: readonly RoundEffect[]) => void;

export class TimedRound {
  private current: RoundState;
  private readonly clock: Clock;
  private readonly onStep: OnStep;
  private cancelTimer = (): void => {};

  constructor(initial: RoundState, clock: Clock, onStep: OnStep) {
    this.current = initial;
    this.clock = clock;
    this.onStep = onStep;
  }

  get state(): RoundState {
    return this.current;
  }

  /** What the machine would answer, without moving it. */
  preview(event: UntimedEvent): readonly RoundEffect[] {
    return transition(this.current, { ...event, now: this.clock.now() } as RoundEvent).effects;
  }

  /** Moves the machine. @returns its effects, which `onStep` has been told of */
  dispatch(event: UntimedEvent): readonly RoundEffect[] {
    const { clock, current: before } = this;
    const { state, effects } = transition(before, { ...event, now: clock.now() } as RoundEvent);
    this.current = state;
    this.onStep(before, state, effects);
    this.cancelTimer();
    const due = deadlineOf(this.current);
    if (Number.isFinite(due)) {
      this.cancelTimer = clock.after(due - clock.now(), () => void this.dispatch({ type: 'tick' }));
    }
    return effects;
  }
}
