/**
 * Randomness that learns: one seed, named streams, the same numbers on every platform.
 * Never for keys, nonces, masks or noise; those come from the operating system (crypto/provider.ts).
 */

/** A seeded generator; `next` is uniform in [0, 1) with 32 bits, `uint32` the raw word. */
export interface Rng {
  uint32(): number;
  next(): number;
  /** Uniform integer in [0, bound); bound ≥ 1. */
  below(bound: number): number;
  /** Standard normal (polar Box–Muller). */
  normal(): number;
}

/** Hashes a text to four 32-bit words (MurmurHash3 mixing per word), the seed of a stream. */
function hash128(text: string): [number, number, number, number] {
  const h: [number, number, number, number] = [1779033703, 3144134277, 1013904242, 2773480762];
  for (let i = 0; i < text.length; i++) {
    const k = text.charCodeAt(i);
    h[0] = h[1] ^ Math.imul(h[0] ^ k, 597399067);
    h[1] = h[2] ^ Math.imul(h[1] ^ k, 2869860233);
    h[2] = h[3] ^ Math.imul(h[2] ^ k, 951274213);
    h[3] = h[0] ^ Math.imul(h[3] ^ k, 2716044179);
  }
  h[0] = Math.imul(h[2] ^ (h[0] >>> 18), 597399067);
  h[1] = Math.imul(h[3] ^ (h[1] >>> 22), 2869860233);
  h[2] = Math.imul(h[0] ^ (h[2] >>> 17), 951274213);
  h[3] = Math.imul(h[1] ^ (h[3] >>> 19), 2716044179);
  const all = h[0] ^ h[1] ^ h[2] ^ h[3];
  return [all >>> 0, (h[1] ^ all) >>> 0, (h[2] ^ all) >>> 0, (h[3] ^ all) >>> 0];
}

/**
 * The stream named by `(seed, purpose, …parts)`, for example `stream(7, 'batches', participant, round, attempt)`.
 * Generator: sfc32 (PractRand's small fast counter), 16 words discarded after seeding.
 */
export function stream(seed: number | string, purpose: string, ...parts: readonly (number | string)[]): Rng {
  let [a, b, c, d] = hash128(JSON.stringify([seed, purpose, ...parts]));
  const uint32 = (): number => {
    const t = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (let i = 0; i < 16; i++) uint32();
  const next = (): number => uint32() / 4294967296;
  let spare: number | undefined;
  const normal = (): number => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    for (;;) {
      const u = 2 * next() - 1;
      const v = 2 * next() - 1;
      const s = u * u + v * v;
      if (s > 0 && s < 1) {
        const f = Math.sqrt((-2 * Math.log(s)) / s);
        spare = v * f;
        return u * f;
      }
    }
  };
  const below = (bound: number): number => {
    const limit = 4294967296 - (4294967296 % bound);
    for (;;) {
      const word = uint32();
      if (word < limit) return word % bound;
    }
  };
  return { uint32, next, below, normal };
}

/** Fisher–Yates over 0 … length−1. */
export function permutation(rng: Rng, length: number): Int32Array {
  const order = Int32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  }
  return order;
}
