/** Time, injected: monotonic milliseconds and one-shot timers, so that tests can own both. */
export interface Clock {
  now(): number;
  /** @returns what cancels the timer */
  after(ms: number, action: () => void): () => void;
}

/** Node's timers hold at most this many milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, Math.min(LONGEST_MS, Math.max(0, ms)));
    return () => clearTimeout(timer);
  },
};
