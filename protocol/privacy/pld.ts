/**
 * ε by privacy-loss distributions: 10–70 % below Rényi accounting where the sampling rate is small. Never below the truth, and at
 * most 1e-3 above it up to ε = 50 (test/unit/protocol/privacy).
 */
import { compose, epsilonOf, windowOf } from './composition.ts';
import { DIRECTIONS, lossDistribution } from './loss-distribution.ts';

const FINEST_STEP = 1e-6;
const COARSEST_STEP = 4e-4;
/** Largest transform, of 100 MB while it runs. */
const MOST_POINTS = 2 ** 21;
/** A window is estimated on a grid that is coarser by this. */
const ESTIMATE = 16;

/**
 * The grid. Splitting adds up to step²/6 to the variance of one loss, q²(e^(1/z²)−1) or so, and ε lies within 6 standard deviations of
 * the mean: the step keeps what that adds to ε below 2e-4. Coarser only where the sum spreads so wide that the transform would not fit.
 */
function stepFor(q: number, z: number, rounds: number, tail: number): number {
  const spread = Math.min(1, q * Math.sqrt(Math.expm1(Math.min(1 / (z * z), 50))));
  const wanted = Math.sqrt((2e-4 * 12 * spread) / (6 * Math.sqrt(rounds)));
  let step = Math.min(COARSEST_STEP, Math.max(FINEST_STEP, wanted));
  const points = (): number => {
    const { low, high } = windowOf(lossDistribution(q, z, 'remove', ESTIMATE * step, tail), rounds, tail);
    return ESTIMATE * (high - low + 1);
  };
  while (points() > MOST_POINTS) step *= 2;
  return step;
}

/**
 * The ε of `rounds` releases whose members are drawn with probability `sampling` (1: everybody takes part), with noise z.
 * Add-or-remove neighbours: the worse of the two directions.
 */
export function pldEpsilon(sampling: number, noiseMultiplier: number, rounds: number, delta: number): number {
  // what one release may lose in its tails, so that all of them together lose 1e-6 of δ
  const tail = Math.min(1e-15, (delta * 1e-6) / rounds);
  const step = stepFor(sampling, noiseMultiplier, rounds, tail);
  const ofDirection = DIRECTIONS.map((direction) => {
    const loss = lossDistribution(sampling, noiseMultiplier, direction, step, tail);
    return epsilonOf(compose(loss, rounds, delta * 1e-6), delta);
  });
  return Math.max(...ofDirection);
}
