import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keyedBuckets, tokenBucket } from '../../../server/rate-limit.ts';

describe('a token bucket', () => {
  test('gives its burst at once, then says how long to wait', () => {
    const bucket = tokenBucket({ burst: 3, perSecond: 2 });
    expect([1, 2, 3].map(() => bucket.take(1, 0))).toEqual([0, 0, 0]);
    expect(bucket.take(1, 0)).toBe(500);
    expect(bucket.take(1, 400)).toBe(100);
    expect(bucket.take(1, 500)).toBe(0);
  });

  test('never gives more than burst + rate · time, whatever is asked and when', () => {
    const asks = fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 1, max: 5 })), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(asks, (steps) => {
        const bucket = tokenBucket({ burst: 5, perSecond: 10 });
        let now = 0;
        let given = 0;
        for (const [wait, tokens] of steps) {
          now += wait;
          if (bucket.take(tokens, now) === 0) given += tokens;
          expect(given).toBeLessThanOrEqual(5 + (now / 1000) * 10 + 1e-9);
        }
      }),
    );
  });

  test('a clock that jumps back gives nothing', () => {
    const bucket = tokenBucket({ burst: 1, perSecond: 1 });
    expect(bucket.take(1, 1000)).toBe(0);
    expect(bucket.take(1, 0)).toBeGreaterThan(0);
    expect(bucket.take(1, 1500)).toBeGreaterThan(0);
  });
});

describe('buckets by key', () => {
  test('are separate, and only so many are remembered', () => {
    const buckets = keyedBuckets({ burst: 1, perSecond: 0.001 }, 2);
    expect(buckets.take('a', 1, 0)).toBe(0);
    expect(buckets.take('a', 1, 0)).toBeGreaterThan(0);
    expect(buckets.take('b', 1, 0)).toBe(0);
    expect(buckets.take('c', 1, 0)).toBe(0);
    // 'a' was forgotten, and starts afresh.
    expect(buckets.take('a', 1, 0)).toBe(0);
    expect(buckets.take('c', 1, 0)).toBeGreaterThan(0);
  });
});
