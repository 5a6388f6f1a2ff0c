/**
 * Discrete Gaussian noise: integers y with probability proportional to e^(−y²/2σ²). Canonne, Kamath & Steinke 2020 (arXiv 2004.00010), Algorithm 3:
 * a discrete Laplace proposal, accepted with probability e^(−(|y|−σ²/t)²/2σ²). The probabilities are doubles, not exact fractions: a draw
 * is off by about 2⁻⁵³ of its probability, and what leaves this file are integers, without the gaps of rounded continuous noise.
 */
import type { NoiseSource } from './noise-source.ts';

/** An integer with probability proportional to e^(−|y|/t): the difference of two geometric ones. */
function discreteLaplace(t: number, source: NoiseSource): number {
  const geometric = (): number => Math.floor(-t * Math.log(1 - source.next()));
  return geometric() - geometric();
}

/** One draw with parameter σ, whose standard deviation is σ (from σ = 1 on to better than 1e-7). */
export function discreteGaussian(sigma: number, source: NoiseSource): number {
  const t = Math.floor(sigma) + 1;
  const shift = (sigma * sigma) / t;
  for (;;) {
    const y = discreteLaplace(t, source);
    const beyond = (Math.abs(y) - shift) / sigma;
    if (source.next() < Math.exp(-0.5 * beyond * beyond)) return y;
  }
}

/** words ← words + noise, each word its own draw. */
export function addNoise(words: Int32Array, sigma: number, source: NoiseSource): void {
  for (let i = 0; i < words.length; i++) words[i] = words[i]! + discreteGaussian(sigma, source);
}
