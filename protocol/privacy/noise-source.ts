/** Randomness that hides: uniform numbers from the operating system, fetched in pieces that browsers give at once. */

/** The part of a `CryptoProvider` that noise needs. */
export interface RandomBytes {
  randomBytes(length: number): Uint8Array<ArrayBuffer>;
}

const PIECE = 65_536;

export interface NoiseSource {
  /** Uniform in [0, 1), 53 bits. */
  next(): number;
  /** Overwrites what was fetched and not used. */
  wipe(): void;
}

/** A source over the operating system's generator: never seeded, never the same twice. */
export function noiseSource(crypto: RandomBytes): NoiseSource {
  let words = new Uint32Array(0);
  let at = 0;
  return {
    next() {
      if (at >= words.length) {
        words = new Uint32Array(crypto.randomBytes(PIECE).buffer);
        at = 0;
      }
      const high = words[at]! >>> 5;
      const low = words[at + 1]! >>> 6;
      words[at] = 0;
      words[at + 1] = 0;
      at += 2;
      return (high * 67_108_864 + low) / 9_007_199_254_740_992;
    },
    wipe() {
      words.fill(0);
      at = words.length;
    },
  };
}
