/**
 * The privacy-loss distribution of one release of the Poisson-subsampled Gaussian mechanism, on a grid, by connecting the dots:
 * each piece of probability is split between the two grid points around it so that its mass under both neighbours stays what it is.
 * The hockey-stick divergence is then exact at the grid points and above the truth between them, and the excess does not grow with the number
 * of releases as rounding up does. Doroshenko, Ghazi, Kamath, Kumar & Manurangsi 2022 (arXiv 2207.04380).
 */
import { interval, upperQuantile, upperTail } from './normal.ts';

/** Losses k·step for k = first …, with their probabilities; the rest of the probability has infinite loss. */
export interface LossDistribution {
  readonly step: number;
  readonly first: number;
  readonly mass: Float64Array;
  readonly infinite: number;
}

/** Whose presence is looked at: `remove` compares with the participant against without, `add` the other way round. */
export type Direction = 'remove' | 'add';
export const DIRECTIONS: readonly Direction[] = ['remove', 'add'];

/** Probability of an interval of outputs, under the upper distribution of the pair and under the lower. */
interface Pair {
  readonly upper: (a: number, b: number) => number;
  readonly lower: (a: number, b: number) => number;
}

/** Mass with the participant, (1−q)·N(0,z²) + q·N(1,z²), and without, N(0,z²), in units of z. */
function pairOf(q: number, z: number, direction: Direction): Pair {
  const without = (a: number, b: number): number => interval(a, b);
  const withOne = (a: number, b: number): number => (1 - q) * interval(a, b) + q * interval(a - 1 / z, b - 1 / z);
  return direction === 'remove' ? { upper: withOne, lower: without } : { upper: without, lower: withOne };
}

/**
 * ln(P_with/P_without) at the output t·z, rising in t: ln(1−q + q·e^((2tz−1)/(2z²))). The privacy loss is this for `remove` and
 * its negative for `add`.
 */
function logRatio(q: number, z: number, t: number): number {
  const exponent = t / z - 1 / (2 * z * z);
  return exponent > 30 ? exponent + Math.log(q + (1 - q) * Math.exp(-exponent)) : Math.log1p(q * Math.expm1(exponent));
}

/** The output, in units of z, at which `logRatio` is this; −∞ below its infimum ln(1−q). */
function outputAt(q: number, z: number, ratio: number): number {
  const inner = ratio > 30 ? ratio + Math.log1p((q - 1) * Math.exp(-ratio)) : Math.log(Math.expm1(ratio) + q);
  return Number.isNaN(inner) ? -Infinity : z * (inner - Math.log(q)) + 1 / (2 * z);
}

/**
 * The distribution for a sampling rate 0 < q ≤ 1, a noise multiplier z and a grid.
 * @param tail probability that may be moved to an infinite loss, or up to the first grid point
 */
export function lossDistribution(
  q: number,
  z: number,
  direction: Direction,
  step: number,
  tail: number,
): LossDistribution {
  const reach = upperQuantile(tail);
  const sign = direction === 'remove' ? 1 : -1;
  const outputs = [-reach, reach + 1 / z];
  const losses = outputs.map((t) => sign * logRatio(q, z, t)).sort((a, b) => a - b);
  const first = Math.floor(losses[0]! / step);
  const last = Math.ceil(losses[1]! / step);
  const { upper, lower } = pairOf(q, z, direction);
  const mass = new Float64Array(last - first + 1);
  let before = outputAt(q, z, sign * first * step);
  for (let k = first; k < last; k++) {
    const after = outputAt(q, z, sign * (k + 1) * step);
    const [a, b] = sign > 0 ? [before, after] : [after, before];
    const p = a < b ? upper(a, b) : 0;
    const other = a < b ? lower(a, b) : 0;
    // p = low + high and other = low·e^(−loss of low) + high·e^(−loss of high)
    const high = Math.min(p, Math.max(0, (p - Math.exp(k * step) * other) / -Math.expm1(-step)));
    mass[k - first]! += p - high;
    mass[k - first + 1]! += high;
    before = after;
  }
  return { step, first, mass, infinite: settleTails(q, z, sign, outputAt(q, z, sign * first * step), before, mass) };
}

/** Moves what lies below the grid up to its first point. @returns what lies above it */
function settleTails(q: number, z: number, sign: number, start: number, end: number, mass: Float64Array): number {
  const shift = 1 / z;
  const aboveOutput = (t: number): number =>
    sign > 0 ? (1 - q) * upperTail(t) + q * upperTail(t - shift) : upperTail(t);
  const belowOutput = (t: number): number =>
    sign > 0 ? (1 - q) * upperTail(-t) + q * upperTail(shift - t) : upperTail(-t);
  mass[0]! += sign > 0 ? belowOutput(start) : aboveOutput(start);
  return sign > 0 ? aboveOutput(end) : belowOutput(end);
}
