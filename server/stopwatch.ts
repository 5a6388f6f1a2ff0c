/** Adds up how long an attempt spends in each phase. */
import type { Clock } from './clock.ts';
import type { RoundState } from './round-state.ts';

type Phase = RoundState['phase'];

export class Stopwatch {
  private readonly spent = new Map<Phase, number>();
  private readonly clock: Clock;
  private phase: Phase = 'idle';
  private since: number;

  constructor(clock: Clock) {
    this.clock = clock;
    this.since = clock.now();
  }

  enter(phase: Phase): void {
    const now = this.clock.now();
    this.spent.set(this.phase, (this.spent.get(this.phase) ?? 0) + now - this.since);
    this.phase = phase;
    this.since = now;
  }

  /** Seconds in each phase so far, the present one included. */
  seconds(): Record<'recruiting' | 'training' | 'securing' | 'aggregating', number> {
    this.enter(this.phase);
    const of = (phase: Phase): number => (this.spent.get(phase) ?? 0) / 1000;
    return {
      recruiting: of('recruiting'),
      training: of('training'),
      securing: of('securing'),
      aggregating: of('aggregating'),
    };
  }
}
