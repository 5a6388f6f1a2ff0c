/** Reports under differential privacy: what the noise is, that it is everywhere, and what a sum of them says. */
import { describe, expect, test } from 'vitest';
import { nodeCrypto } from '../../../../protocol/crypto/node.ts';
import { addWords } from '../../../../protocol/fixed-point.ts';
import { type Plan, parsePlan } from '../../../../protocol/plan.ts';
import type { NoisedPrivacy } from '../../../../protocol/plan-privacy.ts';
import { nextClipNorm } from '../../../../protocol/privacy/adaptive-clip.ts';
import { noiseTermsOf } from '../../../../protocol/privacy/noise-terms.ts';
import { WITHIN } from '../../../../protocol/privacy/noised-exchange.ts';
import { stream } from '../../../../protocol/random.ts';
import { buildReport, openSum } from '../../../../protocol/report.ts';
import { exchangesOf, wordsOf } from '../../../../protocol/sections.ts';

const RANGE = [-1, 5] as const;
const DIMENSION = 2000;
/** Passed by a right sampler less than once in 10⁹ times. */
const SIGMAS = 6.2;

const planWith = (privacy: Partial<NoisedPrivacy> = {}, rounds: object = {}): Plan =>
  parsePlan({
    version: 1,
    task: 'test',
    data: { shape: [8, 8, 1] },
    encoder: { name: 'mlp' },
    pretext: { name: 'spectral' },
    augmentation: { name: 'none' },
    training: { steps: 1, batch: 2, optimiser: { name: 'sgd', learningRate: 0.1 } },
    rounds: { count: 1, cohort: 10, maxCohort: 13, minReports: 7, ...rounds },
    privacy: { mode: 'secagg+dp', clipNorm: 0.8, noiseMultiplier: 1.5, epsilon: 100, delta: 1e-5, ...privacy },
  });
const exchangeOf = (plan: Plan, dimension = DIMENSION) => exchangesOf(plan, { dimension, lossRange: RANGE })[0]!;

const values = (seed: number, length = 3, dimension = DIMENSION) => {
  const rng = stream(seed, 'values');
  const delta = Float32Array.from({ length: dimension }, () => (rng.normal() * length) / Math.sqrt(dimension));
  return { delta, 'metrics/loss': Float32Array.of(1 + rng.next()) };
};
const report = (plan: Plan, seed: number, length = 3): Int32Array =>
  buildReport(plan, exchangeOf(plan), values(seed, length), 5, { crypto: nodeCrypto });

describe('the noise of a report', () => {
  const plan = planWith({ adaptiveClipping: { quantile: 0.5, rate: 0.2 } });
  const exchange = exchangeOf(plan);
  const { localSigma, scale, longest, honest } = noiseTermsOf(plan, exchange);

  test('[DP1] is on every word: of the delta, the loss and the clip bit', () => {
    expect(exchange.sections.map(({ name }) => name)).toEqual(['delta', 'metrics/loss', WITHIN]);
    const again = Array.from({ length: 8 }, () => report(plan, 1));
    for (let i = 0; i < wordsOf(exchange); i++) {
      // noise this wide comes out the same twice with 1e-7, eight times never
      expect(new Set(again.map((words) => words[i])).size).toBeGreaterThan(6);
    }
  });

  test('[DP5] has the standard deviation that the plan demands of one participant, on each section', () => {
    const deviations = Array.from({ length: 400 }, () => {
      const words = report(plan, 2);
      return [words[0]! - report(plan, 2)[0]!, words[DIMENSION]!, words[DIMENSION + 1]!];
    });
    const spread = (k: number): number => {
      const mean = deviations.reduce((sum, d) => sum + d[k]!, 0) / deviations.length;
      return deviations.reduce((sum, d) => sum + (d[k]! - mean) ** 2, 0) / deviations.length / localSigma ** 2;
    };
    const tolerance = SIGMAS * Math.sqrt(2 / deviations.length);
    expect(Math.abs(spread(0) / 2 - 1)).toBeLessThan(tolerance);
    expect(Math.abs(spread(1) - 1)).toBeLessThan(tolerance);
    expect(Math.abs(spread(2) - 1)).toBeLessThan(tolerance);
  });

  test('adds up to z times the longest report, from as many as are certain to be honest survivors', () => {
    // of 7 all stages keep at least 5, of whom 2 may tell the coordinator their noise
    expect(honest).toBe(3);
    expect(localSigma * Math.sqrt(honest)).toBeCloseTo(1.5 * longest, 3);
    expect(longest).toBeGreaterThanOrEqual(scale * Math.sqrt(1 + 0.01 + 0.01));
    const silent = { delta: new Float32Array(DIMENSION), 'metrics/loss': Float32Array.of(2) };
    const sum = new Float64Array(DIMENSION);
    for (let k = 0; k < honest; k++) {
      const words = buildReport(plan, exchange, silent, 1, { crypto: nodeCrypto });
      for (let i = 0; i < DIMENSION; i++) sum[i]! += words[i]!;
    }
    const variance = sum.reduce((total, x) => total + x * x, 0) / DIMENSION / (1.5 * longest) ** 2;
    expect(Math.abs(variance - 1)).toBeLessThan(SIGMAS * Math.sqrt(2 / DIMENSION));
  });

  test.each([4, 5, 6, 7, 8, 9, 10, 20, 50, 100, 128])(
    '[DP3] never falls below its target by drop-outs, in any group of at least %d',
    (minReports) => {
      const terms = (collusion: boolean) => {
        const some = planWith({ collusion }, { cohort: 128, maxCohort: 150, minReports });
        return noiseTermsOf(some, exchangeOf(some));
      };
      const [some, every] = [terms(true), terms(false)];
      const target = (1.5 * some.longest) ** 2 * (1 - 1e-12);
      for (let size = minReports; size <= 256; size++) {
        const survivors = Math.max(Math.floor((2 * size) / 3) + 1, minReports);
        const colluders = Math.floor(size / 3);
        expect((survivors - colluders) * some.localSigma ** 2).toBeGreaterThanOrEqual(target);
        expect(survivors * every.localSigma ** 2).toBeGreaterThanOrEqual((1.5 * every.longest) ** 2 * (1 - 1e-12));
      }
    },
  );

  test('[DP3] leaves the ring alone: the largest cohort at its bounds does not wrap', () => {
    const dense = values(1);
    dense.delta.fill(0);
    dense.delta[0] = 9;
    const words = Array.from({ length: plan.rounds.maxCohort }, () =>
      buildReport(plan, exchange, dense, 1, { crypto: nodeCrypto }),
    );
    const sum = new Int32Array(wordsOf(exchange));
    for (const one of words) addWords(sum, one);
    const plain = words.reduce((total, one) => total + one[0]!, 0);
    expect(sum[0]).toBe(plain);
    expect(plain).toBeGreaterThan(plan.rounds.maxCohort * scale * 0.9 - 12 * localSigma);
  });
});

describe('a sum of noised reports', () => {
  test('[DP2] [DP6] opens to the mean of the clipped deltas by the plan’s cohort, to within its noise', () => {
    const plan = planWith({ noiseMultiplier: 0.5 });
    const exchange = exchangeOf(plan);
    const { localSigma, scale } = noiseTermsOf(plan, exchange);
    const lengths = [3, 0.2, 1, 0.5, 3, 0.1, 2, 0.4];
    const sum = new Int32Array(wordsOf(exchange));
    lengths.forEach((length, k) => {
      addWords(sum, report(plan, k, length));
    });
    const opened = openSum(plan, exchange, sum);
    const deltas = lengths.map((length, k) => values(k, length).delta);
    const clipped = deltas.map((delta) => {
      const norm = Math.sqrt(delta.reduce((n, x) => n + x * x, 0));
      return delta.map((x) => x * Math.min(1, 0.8 / norm));
    });
    const deviation = (0.8 * localSigma * Math.sqrt(lengths.length)) / scale / 10;
    let squares = 0;
    for (let i = 0; i < DIMENSION; i++) {
      // eight took part and ten were planned: the denominator is ten
      const expected = clipped.reduce((total, delta) => total + delta[i]!, 0) / 10;
      squares += ((opened.sections.delta![i]! - expected) / deviation) ** 2;
    }
    expect(Math.abs(squares / DIMENSION - 1)).toBeLessThan(SIGMAS * Math.sqrt(2 / DIMENSION));
    expect(opened.weight).toBe(10);
    expect(opened.metrics.loss).toBeGreaterThanOrEqual(RANGE[0]);
  });

  test('[DP6] with words that are no report is refused', () => {
    const plan = planWith();
    const exchange = exchangeOf(plan);
    const sum = report(plan, 1);
    expect(() => openSum(plan, exchange, sum)).not.toThrow();
    addWords(sum, new Int32Array(nodeCrypto.randomBytes(4 * sum.length).buffer));
    expect(() => openSum(plan, exchange, sum)).toThrow(/longer than clipped reports/);
  });
});

test('a report without noise, or of values that are not finite, is never built', () => {
  const plan = planWith();
  const exchange = exchangeOf(plan);
  expect(() => buildReport(plan, exchange, values(1), 5)).toThrow(/without a source of noise/);
  const broken = values(1);
  broken.delta[7] = Number.NaN;
  expect(() => buildReport(plan, exchange, broken, 5, { crypto: nodeCrypto })).toThrow(
    expect.objectContaining({ code: 'report/not-finite' }),
  );
});

test('[DP4] noise that the ring is too coarse for is refused', () => {
  const plan = planWith({}, { cohort: 90_000, maxCohort: 100_000, minReports: 80_000 });
  expect(() => noiseTermsOf(plan, exchangeOf(plan, 500_000_000))).toThrow(
    expect.objectContaining({ code: 'plan/refused' }),
  );
});

test('[DP7] an adapting norm finds the quantile of the updates’ norms through the noise', () => {
  const adaptiveClipping = { quantile: 0.5, rate: 0.3 };
  const plan = planWith(
    { adaptiveClipping, noiseMultiplier: 0.2, clipNorm: 20 },
    { cohort: 60, maxCohort: 60, minReports: 50 },
  );
  const exchange = exchangeOf(plan, 10);
  // half of all norms are below 1.5
  const norms = Array.from({ length: 60 }, (_, k) => 0.5 + (2 * k) / 59);
  let clipNorm = plan.privacy.clipNorm;
  for (let round = 0; round < 40; round++) {
    const sum = new Int32Array(wordsOf(exchange));
    for (const norm of norms) {
      const delta = new Float32Array(10);
      delta[3] = norm;
      const inputs = { crypto: nodeCrypto, clipNorm };
      addWords(sum, buildReport(plan, exchange, { delta, 'metrics/loss': Float32Array.of(0) }, 1, inputs));
    }
    const opened = openSum(plan, exchange, sum, clipNorm);
    clipNorm = nextClipNorm(clipNorm, opened.sections[WITHIN]![0]!, adaptiveClipping);
  }
  expect(clipNorm).toBeGreaterThan(1.1);
  expect(clipNorm).toBeLessThan(1.9);
});
