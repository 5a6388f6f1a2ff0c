/**
 * The few shared words by which a pool stops a worker between two steps.
 *
 * A worker that is ended while it is inside a native run takes the process down with it. So a worker announces that it goes
 * into the engine *before* it looks at the stop word, and the pool sets the stop word *before* it looks at the announcement:
 * whichever came first, a worker seen outside of the engine after that never goes in again, and may be ended at any time.
 */
import { TacitError } from '../../protocol/errors.ts';

const STOP = 0;
const CANCEL = 1;
const INSIDE = 2;
const WORDS = 3;

const SHARED = typeof SharedArrayBuffer !== 'undefined';

/** Shared where the platform allows it; a page that is not cross-origin isolated has to send messages instead. */
export const controlWords = (): Int32Array =>
  new Int32Array(SHARED ? new SharedArrayBuffer(WORDS * 4) : new ArrayBuffer(WORDS * 4));

/** The pool's end. */
export interface Control {
  /** Before a job is sent. */
  reset(): void;
  /** The current job ends at its next step. */
  cancel(): void;
  /** As `cancel`, for this and every later job. */
  stop(): void;
  /** Whether the worker is inside the engine. */
  inside(): boolean;
  /** Blocks the calling thread until the worker is outside of the engine, or the time is up. Node's main thread only. */
  waitOutside(timeoutMs: number): boolean;
}

export function controlOf(words: Int32Array): Control {
  return {
    reset: () => void Atomics.store(words, CANCEL, 0),
    cancel: () => void Atomics.store(words, CANCEL, 1),
    stop: () => void Atomics.store(words, STOP, 1),
    inside: () => Atomics.load(words, INSIDE) === 1,
    waitOutside: (timeoutMs) => {
      const end = Date.now() + timeoutMs;
      while (Atomics.load(words, INSIDE) === 1) {
        const left = end - Date.now();
        if (left <= 0) return false;
        Atomics.wait(words, INSIDE, 1, left);
      }
      return true;
    },
  };
}

/** The worker's end. */
export interface Guard {
  /** @throws TacitError train/cancelled */
  check(): void;
  /** Runs something inside the engine. @throws TacitError train/cancelled without running it */
  inside<T>(action: () => Promise<T>): Promise<T>;
}

/** @param breathe called after each action, so that a thread without shared memory can receive its messages */
export function guardOf(words: Int32Array, breathe?: () => Promise<void>): Guard {
  const check = (): void => {
    if (Atomics.load(words, STOP) === 0 && Atomics.load(words, CANCEL) === 0) return;
    throw new TacitError('train/cancelled', 'stopped between two steps');
  };
  return {
    check,
    inside: async (action) => {
      Atomics.store(words, INSIDE, 1);
      try {
        check();
        return await action();
      } finally {
        Atomics.store(words, INSIDE, 0);
        Atomics.notify(words, INSIDE);
        await breathe?.();
      }
    },
  };
}

/** Gives other tasks of this thread a turn, at most once in `everyMs`. */
export function breather(everyMs: number): () => Promise<void> {
  let last = Date.now();
  return async () => {
    if (Date.now() - last < everyMs) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    last = Date.now();
  };
}
