/**
 * The Gaussian mechanism exactly: T releases of sensitivity 1 with noise z are one release with μ = √T/z, and
 * δ(ε) = Φ(μ/2 − ε/μ) − e^ε·Φ(−μ/2 − ε/μ). Balle & Wang, ICML 2018 (arXiv 1805.06530), Theorem 8.
 */
import { logErfc, upperTail } from './normal.ts';

/** δ of releases that add up to μ, at this ε ≥ 0. */
export function gaussianDelta(mu: number, epsilon: number): number {
  // in logarithms: e^ε overflows long before the product does
  const second = Math.exp(epsilon - Math.LN2 + logErfc((epsilon / mu + mu / 2) * Math.SQRT1_2));
  return upperTail(epsilon / mu - mu / 2) - second;
}

/** The smallest value above 0 at which a falling function is at most `limit`, rounded up by less than 1e-10 of itself. */
function smallestAt(limit: number, falling: (x: number) => number): number {
  let high = 1;
  while (falling(high) > limit) high *= 2;
  while (high > 1e-9 && falling(high / 2) <= limit) high /= 2;
  let low = high / 2;
  while (high - low > 1e-10 * high) {
    const middle = (low + high) / 2;
    if (falling(middle) > limit) low = middle;
    else high = middle;
  }
  return high;
}

/** The ε of releases that add up to μ, rounded up: Σ 1/z² = μ² for releases of any noise multipliers. */
export const epsilonOfMu = (mu: number, delta: number): number =>
  mu === 0 || gaussianDelta(mu, 0) <= delta ? 0 : smallestAt(delta, (epsilon) => gaussianDelta(mu, epsilon));

/** The ε of T releases with noise multiplier z and no sampling, rounded up. */
export const gaussianEpsilon = (noiseMultiplier: number, rounds: number, delta: number): number =>
  epsilonOfMu(Math.sqrt(rounds) / noiseMultiplier, delta);

/** The noise multiplier at which T releases without sampling have at most this ε, rounded up. */
export const gaussianNoise = (epsilon: number, rounds: number, delta: number): number =>
  smallestAt(delta, (z) => gaussianDelta(Math.sqrt(rounds) / z, epsilon));
