/** ε against other libraries' values and against the exact formula: by Rényi divergence and by privacy-loss distributions. */
import { describe, expect, test } from 'vitest';
import { TacitError } from '../../../../protocol/errors.ts';
import { checkLocalSigma, closeness, distributedRdp } from '../../../../protocol/privacy/distributed.ts';
import { gaussianDelta, gaussianEpsilon, gaussianNoise } from '../../../../protocol/privacy/gaussian.ts';
import { noiseMultiplierFor } from '../../../../protocol/privacy/noise-multiplier.ts';
import { pldEpsilon } from '../../../../protocol/privacy/pld.ts';
import { epsilonOfRdp, RDP_ORDERS, rdpEpsilon, rdpOf } from '../../../../protocol/privacy/rdp.ts';
import { privacySpent, tightEpsilon } from '../../../../protocol/privacy/spent.ts';
import oracles from '../../../fixtures/privacy.json' with { type: 'json' };

const relative = (a: number, b: number): number => Math.abs(a / b - 1);
const pld = (r: { sampling: number; noiseMultiplier: number; rounds: number; delta: number }): number =>
  pldEpsilon(r.sampling, r.noiseMultiplier, r.rounds, r.delta);

describe('Rényi accounting', () => {
  test.each(oracles.order)('order $order at q = $sampling, z = $noiseMultiplier', (row) => {
    expect(relative(rdpOf(row.sampling, row.noiseMultiplier, row.order), row.rdp)).toBeLessThan(1e-6);
  });

  test.each(oracles.poisson)('ε at q = $sampling, z = $noiseMultiplier, T = $rounds', (row) => {
    const { epsilon } = rdpEpsilon(row.sampling, row.noiseMultiplier, row.rounds, row.delta);
    expect(relative(epsilon, row.rdp)).toBeLessThan(1e-6);
  });

  test('is monotone in the order, fractional or whole, and in noise, sampling and rounds', () => {
    for (const [q, z] of [
      [0.5, 5],
      [0.1, 1],
      [0.01, 0.6],
      [0.9, 2],
    ] as const) {
      const rdp = RDP_ORDERS.map((order) => rdpOf(q, z, order));
      for (let i = 1; i < rdp.length; i++) expect(rdp[i]!).toBeGreaterThanOrEqual(rdp[i - 1]! * (1 - 1e-7));
    }
    const at = (q: number, z: number, rounds: number): number => rdpEpsilon(q, z, rounds, 1e-5).epsilon;
    expect(at(0.1, 1, 100)).toBeGreaterThan(at(0.1, 1.1, 100));
    expect(at(0.1, 1, 100)).toBeLessThan(at(0.11, 1, 100));
    expect(at(0.1, 1, 100)).toBeLessThan(at(0.1, 1, 110));
  });
});

describe('privacy-loss distributions', () => {
  test.each(oracles.poisson)('ε at q = $sampling, z = $noiseMultiplier, T = $rounds', (row) => {
    expect(Math.abs(pld(row) - row.pld)).toBeLessThan(1e-3);
  });

  test.each([
    [1, 1, 1e-5],
    [4, 100, 1e-10],
    [1, 20, 1e-5],
    [30, 20_000, 1e-5],
    [100, 20_000, 1e-9],
    [8, 7, 0.1],
    [0.7, 3, 1e-6],
  ])('without sampling is the exact value, never below: z = %d, T = %d, δ = %d', (z, rounds, delta) => {
    const exact = gaussianEpsilon(z, rounds, delta);
    const found = pldEpsilon(1, z, rounds, delta);
    expect(found).toBeGreaterThanOrEqual(exact - 1e-9);
    expect(found).toBeLessThan(exact + 1e-3);
  });

  test.each(oracles.upperEnds.filter(({ noiseMultiplier }) => noiseMultiplier === 0.8 || noiseMultiplier === 3))(
    'lies within 0.013 below the upper end of another accountant: q = $sampling, z = $noiseMultiplier, T = $rounds',
    (row) => {
      const found = pld({ ...row, delta: 1e-6 });
      expect(found).toBeLessThan(row.epsilon);
      expect(found).toBeGreaterThan(row.epsilon - 0.013);
    },
  );

  test('one sampled release is the exact hockey stick of the two densities', () => {
    // integrated here: δ(ε) = ∫ max(0, (1−q)φ₀ + qφ₁ − e^ε φ₀), and with the roles exchanged
    const [q, z, epsilon] = [0.2, 0.7, 0.9];
    const phi = (x: number, mean: number): number =>
      Math.exp(-((x - mean) ** 2) / (2 * z * z)) / (z * Math.sqrt(2 * Math.PI));
    let removed = 0;
    let added = 0;
    for (let i = 0; i < 400_000; i++) {
      const x = -10 + (i + 0.5) * 5e-5;
      const without = phi(x, 0);
      const with_ = (1 - q) * without + q * phi(x, 1);
      removed += Math.max(0, with_ - Math.exp(epsilon) * without) * 5e-5;
      added += Math.max(0, without - Math.exp(epsilon) * with_) * 5e-5;
    }
    expect(pldEpsilon(q, z, 1, Math.max(removed, added))).toBeCloseTo(epsilon, 5);
  });

  test('twenty thousand rounds at a small rate do not add up rounding', () => {
    const found = pldEpsilon(0.001, 3, 20_000, 1e-6);
    expect(found).toBeLessThan(0.194031031);
    expect(found).toBeGreaterThan(0.194031031 - 0.0127);
  });
});

describe('the exact formula', () => {
  test('inverts itself and agrees with known values', () => {
    for (const [z, epsilon] of [
      [1, 28.37],
      [2, 11.48],
      [4, 4.98],
      [8, 2.26],
    ] as const) {
      expect(gaussianEpsilon(z, 20, 1e-5)).toBeCloseTo(epsilon, 2);
      expect(gaussianNoise(gaussianEpsilon(z, 20, 1e-5), 20, 1e-5)).toBeCloseTo(z, 7);
    }
    expect(gaussianDelta(1, 1)).toBeCloseTo(0.1269367, 7);
  });
});

describe('distributed noise', () => {
  test.each(oracles.distributed)('ε of n = $participants, S = $scale, d = $dimension, T = $rounds', (row) => {
    const noise = {
      localSigma: (row.noiseMultiplier * row.scale) / Math.sqrt(row.participants),
      participants: row.participants,
      sensitivity: row.afterRounding * row.scale,
      dimension: row.dimension,
    };
    const orders = [...Array.from({ length: 127 }, (_, i) => i + 2), 256];
    const rdp = orders.map((order) => row.rounds * distributedRdp(noise, order));
    expect(relative(epsilonOfRdp(rdp, row.delta, orders).epsilon, row.epsilon)).toBeLessThan(1e-6);
  });

  test('counts the distance from a discrete Gaussian where the noise is coarse, and refuses noise below 1', () => {
    expect(closeness(1, 2)).toBeCloseTo(10 * Math.exp(-(Math.PI ** 2)), 12);
    const noise = { localSigma: 1, participants: 10, sensitivity: 1, dimension: 1000 };
    expect(distributedRdp(noise, 2)).toBeGreaterThan(rdpOf(1, Math.sqrt(10), 2) * 1.005);
    expect(() => checkLocalSigma(0.99)).toThrow(TacitError);
    expect(() => distributedRdp({ ...noise, localSigma: Number.NaN }, 2)).toThrow(/ring units/);
  });
});

describe('a budget', () => {
  test.each([
    { epsilon: 8, delta: 1e-5, rounds: 100, sampling: 1 },
    { epsilon: 1, delta: 1e-6, rounds: 1, sampling: 1 },
    { epsilon: 1, delta: 1e-5, rounds: 1, sampling: 0.01, known: 0.67379294682 },
    { epsilon: 3, delta: 1e-6, rounds: 1000, sampling: 0.02 },
  ])('of ε = $epsilon over $rounds rounds at q = $sampling is used up and not passed', ({ known, ...budget }) => {
    const noiseMultiplier = noiseMultiplierFor(budget);
    if (known) expect(relative(noiseMultiplier, known)).toBeLessThan(2e-4);
    expect(tightEpsilon({ ...budget, noiseMultiplier })).toBeLessThanOrEqual(budget.epsilon);
    expect(tightEpsilon({ ...budget, noiseMultiplier: noiseMultiplier * 0.9998 })).toBeGreaterThan(budget.epsilon);
  });

  test.each([
    ['sampling', { sampling: 1.5 }],
    ['sampling', { sampling: Number.NaN }],
    ['delta', { delta: 1 }],
    ['delta', { delta: 0 }],
    ['rounds', { rounds: 2.5 }],
    ['noiseMultiplier', { noiseMultiplier: 0 }],
    ['noiseMultiplier', { noiseMultiplier: Number.POSITIVE_INFINITY }],
  ])('names a %s that cannot be used: %o', (where, change) => {
    const good = { noiseMultiplier: 1, sampling: 0.1, rounds: 10, delta: 1e-5 };
    const refused = expect.objectContaining({ code: 'privacy/out-of-range', where });
    expect(() => privacySpent({ ...good, ...change })).toThrow(refused);
    expect(privacySpent(good).pld.epsilon).toBeGreaterThan(0);
  });

  test('comes with its neighbouring relation and what it assumes', () => {
    const spent = privacySpent({ noiseMultiplier: 2, sampling: 0.1, rounds: 10, delta: 1e-5 });
    expect(spent.neighbouring).toMatch(/added or removed/);
    expect(spent.assumptions.join()).toMatch(/secret/);
    expect(privacySpent({ noiseMultiplier: 2, sampling: 1, rounds: 10, delta: 1e-5 }).assumptions.join()).toMatch(
      /no amplification/,
    );
  });
});
