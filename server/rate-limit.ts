/** Token buckets: how often and how much one peer, or one address, may do. Time is handed in, in milliseconds. */

export interface Rate {
  /** Tokens that may be spent at once. */
  readonly burst: number;
  /** Tokens that come back in a second. */
  readonly perSecond: number;
}

export interface TokenBucket {
  /** Spends `tokens` if they are there. @returns 0, or the milliseconds after which they would be */
  take(tokens: number, now: number): number;
}

export function tokenBucket({ burst, perSecond }: Rate): TokenBucket {
  let tokens = burst;
  let last = Number.NEGATIVE_INFINITY;
  return {
    take(wanted, now) {
      if (now > last) tokens = Math.min(burst, tokens + (Math.max(0, now - last) / 1000) * perSecond);
      last = Math.max(last, now);
      if (tokens >= wanted) {
        tokens -= wanted;
        return 0;
      }
      return Math.ceil(((wanted - tokens) / perSecond) * 1000);
    },
  };
}

/** One bucket for each key, for at most `maxKeys` keys: the one not seen for longest is forgotten. */
export function keyedBuckets(rate: Rate, maxKeys = 10_000): { take(key: string, tokens: number, now: number): number } {
  const buckets = new Map<string, TokenBucket>();
  return {
    take(key, tokens, now) {
      const bucket = buckets.get(key) ?? tokenBucket(rate);
      buckets.delete(key);
      buckets.set(key, bucket);
      if (buckets.size > maxKeys) {
        const oldest = buckets.keys().next().value;
        if (oldest !== undefined) buckets.delete(oldest);
      }
      return bucket.take(tokens, now);
    },
  };
}
