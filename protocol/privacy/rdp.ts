/**
 * Rényi differential privacy of the (Poisson-subsampled) Gaussian mechanism.
 * Mironov, Talwar & Zhang 2019 (arXiv 1908.10530), with the signs of the binomial coefficients at fractional orders: their absolute values
 * would give an upper bound that jumps and can be infinite. Conversion: Canonne, Kamath & Steinke 2020 (arXiv 2004.00010), Prop. 12.
 */
import { logErfc } from './normal.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** 1.1, 1.2, …, 10.9, 11, …, 63, and four large ones: with small sampling rates the best order is above 100. */
export const RDP_ORDERS: readonly number[] = [
  ...range(11, 109).map((tenth) => tenth / 10),
  ...range(11, 63),
  128,
  256,
  512,
  1024,
];

/** A sum of terms ± e^(log), collected in logarithms and added smallest last risk first: by the largest, with compensation. */
class LogSum {
  private readonly logs: number[] = [];
  private readonly signs: number[] = [];

  add(log: number, sign = 1): void {
    this.logs.push(log);
    this.signs.push(sign);
  }

  /** ln of the sum. */
  log(): number {
    let largest = -Infinity;
    for (const log of this.logs) largest = Math.max(largest, log);
    let sum = 0;
    let lost = 0;
    for (let i = 0; i < this.logs.length; i++) {
      const term = this.signs[i]! * Math.exp(this.logs[i]! - largest) - lost;
      const next = sum + term;
      lost = next - sum - term;
      sum = next;
    }
    return largest + Math.log(sum);
  }
}

/** ln E_Q[(P/Q)^α] for a whole α: the binomial theorem. */
function logMomentWhole(q: number, z: number, alpha: number): number {
  const sum = new LogSum();
  let logBinomial = 0;
  for (let i = 0; i <= alpha; i++) {
    if (i > 0) logBinomial += Math.log((alpha - i + 1) / i);
    sum.add(logBinomial + i * Math.log(q) + (alpha - i) * Math.log1p(-q) + (i * i - i) / (2 * z * z));
  }
  return sum.log();
}

/** Terms below e^−30 of 1 change the result by less than the tests' 1e-6. */
const NEGLIGIBLE = -36;

/** The same for a fractional α: two binomial series, one on each side of the point where q·P and (1−q)·Q are equal. */
function logMomentFractional(q: number, z: number, alpha: number): number {
  const meeting = z * z * Math.log(1 / q - 1) + 0.5;
  const width = Math.SQRT2 * z;
  const sum = new LogSum();
  let logBinomial = 0;
  let sign = 1;
  for (let i = 0; i < 100_000; i++) {
    if (i > 0) {
      const factor = (alpha - i + 1) / i;
      logBinomial += Math.log(Math.abs(factor));
      sign *= Math.sign(factor);
    }
    const j = alpha - i;
    const left =
      logBinomial +
      i * Math.log(q) +
      j * Math.log1p(-q) +
      (i * i - i) / (2 * z * z) -
      Math.LN2 +
      logErfc((i - meeting) / width);
    const right =
      logBinomial +
      j * Math.log(q) +
      i * Math.log1p(-q) +
      (j * j - j) / (2 * z * z) -
      Math.LN2 +
      logErfc((meeting - j) / width);
    sum.add(left, sign);
    sum.add(right, sign);
    if (i > alpha && Math.max(left, right) < NEGLIGIBLE) break;
  }
  return sum.log();
}

/** RDP at one order of one release whose members are drawn with probability q; noise multiplier z. */
export function rdpOf(sampling: number, noiseMultiplier: number, order: number): number {
  if (sampling === 0) return 0;
  if (sampling === 1) return order / (2 * noiseMultiplier * noiseMultiplier);
  const moment = Number.isInteger(order) ? logMomentWhole : logMomentFractional;
  return Math.max(0, moment(sampling, noiseMultiplier, order) / (order - 1));
}

/** An ε and the order at which it was reached. */
export interface RdpEpsilon {
  readonly epsilon: number;
  readonly order: number;
}

/** (ε, δ) of RDP values at `orders`: the best order decides. */
export function epsilonOfRdp(rdp: readonly number[], delta: number, orders = RDP_ORDERS): RdpEpsilon {
  let best: RdpEpsilon = { epsilon: Infinity, order: orders[0]! };
  orders.forEach((order, i) => {
    const epsilon = rdp[i]! + Math.log((order - 1) / order) - (Math.log(delta) + Math.log(order)) / (order - 1);
    if (epsilon < best.epsilon) best = { epsilon: Math.max(0, epsilon), order };
  });
  return best;
}

/** (ε, δ) of `rounds` releases. */
export function rdpEpsilon(
  sampling: number,
  noiseMultiplier: number,
  rounds: number,
  delta: number,
  orders = RDP_ORDERS,
): RdpEpsilon {
  const rdp = orders.map((order) => rounds * rdpOf(sampling, noiseMultiplier, order));
  return epsilonOfRdp(rdp, delta, orders);
}
