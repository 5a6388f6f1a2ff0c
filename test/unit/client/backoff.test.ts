import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pause, waitBefore } from '../../../client/backoff.ts';

const backoff = { firstMs: 100, maxMs: 1000 };

describe('waitBefore', () => {
  it('doubles its ceiling up to the highest, and jitters over all of it', () => {
    expect([1, 2, 3, 4, 5, 60].map((attempt) => waitBefore(attempt, 1, 0, backoff))).toEqual([
      100, 200, 400, 800, 1000, 1000,
    ]);
    expect(waitBefore(5, 0, 0, backoff)).toBe(0);
    expect(waitBefore(5, 0.5, 0, backoff)).toBe(500);
  });

  it('never cuts short what the coordinator asked for', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 0, max: 100_000 }),
        (attempt, random, asked) => {
          const wait = waitBefore(attempt, random, asked, backoff);
          expect(wait).toBeGreaterThanOrEqual(asked);
          expect(wait).toBeLessThanOrEqual(asked + 1000);
        },
      ),
    );
  });
});

describe('pause', () => {
  it('ends at once when it is aborted, before or during', async () => {
    const stop = new AbortController();
    const long = pause(1e6, stop.signal);
    stop.abort();
    await long;
    await pause(1e6, stop.signal);
  });
});
