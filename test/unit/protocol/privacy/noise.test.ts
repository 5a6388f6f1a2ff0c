/**
 * Noise has no seed, so these tests look at so many draws that a right sampler fails one of them less than once in 10⁹ runs, while
 * a variance in place of a standard deviation, or a continuous normal that is rounded, fails at once.
 */
import { describe, expect, test } from 'vitest';
import { nodeCrypto } from '../../../../protocol/crypto/node.ts';
import { addNoise, discreteGaussian } from '../../../../protocol/privacy/discrete-gaussian.ts';
import { noiseSource } from '../../../../protocol/privacy/noise-source.ts';
import { roundedLength, roundWithin } from '../../../../protocol/privacy/rounding.ts';

const source = noiseSource(nodeCrypto);
const DRAWS = 100_000;
/** Deviations of a mean that are passed less than once in 10⁹ times on either side. */
const SIGMAS = 6.2;

/** Probabilities of 0, ±1, … by the definition. */
function exact(sigma: number): { at: (y: number) => number; variance: number; fourth: number } {
  const reach = Math.ceil(12 * sigma) + 2;
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)));
  const total = weights.reduce((a, b) => a + b, 0);
  const moment = (k: number): number => weights.reduce((sum, w, i) => sum + (w / total) * (i - reach) ** k, 0);
  return { at: (y) => (weights[y + reach] ?? 0) / total, variance: moment(2), fourth: moment(4) };
}

describe.each([1, 1.5, 4, 64, 3000.7])('discrete Gaussian, σ = %d', (sigma) => {
  const draws = Array.from({ length: DRAWS }, () => discreteGaussian(sigma, source));

  test('has whole draws with mean 0', () => {
    expect(draws.every(Number.isInteger)).toBe(true);
    const mean = draws.reduce((a, b) => a + b, 0) / DRAWS;
    expect(Math.abs(mean)).toBeLessThan((SIGMAS * sigma) / Math.sqrt(DRAWS));
  });

  test('has the variance σ², and so neither σ nor σ⁴', () => {
    const { variance, fourth } = exact(sigma);
    const found = draws.reduce((sum, y) => sum + y * y, 0) / DRAWS;
    expect(Math.abs(found - variance)).toBeLessThan(SIGMAS * Math.sqrt((fourth - variance ** 2) / DRAWS));
    expect(variance / sigma ** 2).toBeCloseTo(1, 6);
  });

  test('has the tails of a Gaussian: kurtosis 3', () => {
    const { variance, fourth } = exact(sigma);
    const found = draws.reduce((sum, y) => sum + (y / sigma) ** 4, 0) / DRAWS;
    // Var y⁴ = 105 − 9 in units of σ⁸
    expect(Math.abs(found - fourth / sigma ** 4)).toBeLessThan(SIGMAS * Math.sqrt(100 / DRAWS));
    expect(variance).toBeGreaterThan(0);
  });

  test('falls on each small number as often as it should', () => {
    const { at } = exact(sigma);
    for (let y = -3; y <= 3; y++) {
      const p = at(y);
      const found = draws.filter((x) => x === y).length / DRAWS;
      const few = 25 / DRAWS; // where fewer than 25 are expected the normal approximation ends
      expect(Math.abs(found - p)).toBeLessThan(Math.max(few, SIGMAS * Math.sqrt((p * (1 - p)) / DRAWS)));
    }
  });
});

test('two sources never give the same noise, and every word gets its own', () => {
  const first = new Int32Array(1000);
  const second = new Int32Array(1000);
  addNoise(first, 1e6, noiseSource(nodeCrypto));
  addNoise(second, 1e6, noiseSource(nodeCrypto));
  expect(first).not.toEqual(second);
  // of half a million pairs among draws this far apart hardly one coincides
  expect(new Set(first).size).toBeGreaterThan(980);
});

test('bytes are asked for in the pieces that a browser gives, and overwritten', () => {
  const asked: number[] = [];
  const buffers: Uint8Array[] = [];
  const counting = noiseSource({
    randomBytes: (length) => {
      asked.push(length);
      const bytes = nodeCrypto.randomBytes(length);
      buffers.push(bytes);
      return bytes;
    },
  });
  for (let i = 0; i < 20_000; i++) counting.next();
  expect(asked).toEqual([65_536, 65_536, 65_536]);
  expect(buffers[0]!.every((byte) => byte === 0)).toBe(true);
  counting.wipe();
  expect(buffers[2]!.every((byte) => byte === 0)).toBe(true);
});

describe('rounding at random', () => {
  test('is unbiased', () => {
    const values = new Float64Array(DRAWS).fill(0.3);
    const words = roundWithin(values, 1, Infinity, source);
    const mean = words.reduce((a, b) => a + b, 0) / DRAWS;
    expect(Math.abs(mean - 0.3)).toBeLessThan(SIGMAS * Math.sqrt(0.21 / DRAWS));
    expect(words.every((word) => word === 0 || word === 1)).toBe(true);
  });

  test('gives a vector within the bound, repeating itself until it does', () => {
    // 64 halves: about half of all roundings are longer than √32
    const values = new Float64Array(64).fill(0.5);
    for (let i = 0; i < 50; i++) {
      const words = roundWithin(values, 1, Math.sqrt(32), source);
      expect(words.reduce((sum, word) => sum + word * word, 0)).toBeLessThanOrEqual(32);
    }
    expect(() => roundWithin(values, 1, 0.5, source)).toThrow(/never shorter/);
  });

  test('the bound is the one of the reference, and ‖x‖ + √d where that is less', () => {
    expect(roundedLength(4096, 1e5) / 4096).toBeCloseTo(1.000871460811135, 12);
    expect(roundedLength(65_536, 1e6) / 65_536).toBeCloseTo(1.000036790755869, 9);
    expect(roundedLength(0.1, 1)).toBeCloseTo(Math.sqrt(0.01 + 0.25 + 0.6), 12);
  });
});
