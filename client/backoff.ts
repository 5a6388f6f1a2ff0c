/**
 * When to try again after a connection is lost: exponential backoff with full jitter, so that participants who lost the same
 * coordinator do not come back all at once. A wait that the coordinator asked for is never cut short.
 */

export interface Backoff {
  /** Ceiling of the first wait. */
  readonly firstMs: number;
  /** Ceiling of any wait. */
  readonly maxMs: number;
}

export const DEFAULT_BACKOFF: Backoff = { firstMs: 250, maxMs: 30_000 };

/**
 * Milliseconds before attempt number `attempt` (from 1).
 * @param random uniform in [0, 1)
 * @param retryAfterMs what the coordinator asked for, if it did
 */
export function waitBefore(attempt: number, random: number, retryAfterMs = 0, backoff = DEFAULT_BACKOFF): number {
  const ceiling = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(retryAfterMs + random * ceiling);
}

/** Resolves after `ms`, or at once when `signal` aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
