/**
 * Many releases as one: the T-fold self-convolution of a loss distribution by the fast Fourier transform, within a window outside
 * of which lies less probability than `tail`; that much is counted as infinite loss, so that neither truncation nor wrap-around can
 * make the result too good. Koskela, Jälkö & Honkela 2020 (arXiv 1906.03049).
 */
import FFT from 'fft.js';
import type { LossDistribution } from './loss-distribution.ts';

/** First and last grid index between which all but `tail` of the T-fold sum lies, on either side. */
export interface Window {
  readonly low: number;
  readonly high: number;
}

/** ln E[e^(λ·loss)] of the finite part; Infinity, which bounds it too, where its largest term underflows. */
function logMoment({ mass, first, step }: LossDistribution, lambda: number): number {
  const fade = Math.exp(-Math.abs(lambda) * step);
  const last = mass.length - 1;
  let weight = 1;
  let sum = 0;
  for (let i = 0; i <= last && weight > 0; i++) {
    sum += mass[lambda > 0 ? last - i : i]! * weight;
    weight *= fade;
  }
  return sum > 0 ? Math.log(sum) + lambda * step * (lambda > 0 ? first + last : first) : Infinity;
}

const LAMBDAS = Array.from({ length: 40 }, (_, i) => 2 ** (i / 2 - 8));

/** Chernoff's bound, with the best of a set of exponents. */
export function windowOf(loss: LossDistribution, rounds: number, tail: number): Window {
  const { first, mass, step } = loss;
  const need = Math.log(1 / tail);
  let high = rounds * (first + mass.length - 1);
  let low = rounds * first;
  for (const lambda of LAMBDAS) {
    high = Math.min(high, Math.ceil((rounds * logMoment(loss, lambda) + need) / (lambda * step)));
    low = Math.max(low, Math.floor(-(rounds * logMoment(loss, -lambda) + need) / (lambda * step)));
  }
  return { low: Math.min(low, high), high };
}

/** (re, im)^n by repeated squaring, in place at `at`. */
function raise(spectrum: Float64Array, at: number, n: number): void {
  let baseRe = spectrum[at]!;
  let baseIm = spectrum[at + 1]!;
  let re = 1;
  let im = 0;
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) [re, im] = [re * baseRe - im * baseIm, re * baseIm + im * baseRe];
    [baseRe, baseIm] = [baseRe * baseRe - baseIm * baseIm, 2 * baseRe * baseIm];
  }
  spectrum[at] = re;
  spectrum[at + 1] = im;
}

const modulo = (a: number, n: number): number => ((a % n) + n) % n;

/** The loss distribution of `rounds` independent releases. @param tail what the window may leave out on each side */
export function compose(loss: LossDistribution, rounds: number, tail: number): LossDistribution {
  if (rounds === 1) return loss;
  const { low, high } = windowOf(loss, rounds, tail);
  const size = 2 ** Math.ceil(Math.log2(Math.max(4, high - low + 1)));
  const fft = new FFT(size);
  const input = new Float64Array(2 * size);
  // index 0 of the transform stands for loss 0; the sum's window is read out modulo its size
  loss.mass.forEach((p, i) => {
    input[2 * modulo(loss.first + i, size)]! += p;
  });
  const spectrum = new Float64Array(2 * size);
  fft.transform(spectrum, input);
  for (let at = 0; at < spectrum.length; at += 2) raise(spectrum, at, rounds);
  fft.inverseTransform(input, spectrum);
  const mass = new Float64Array(high - low + 1);
  for (let i = 0; i < mass.length; i++) mass[i] = input[2 * modulo(low + i, size)]!;
  const finite = Math.exp(rounds * Math.log1p(-loss.infinite));
  return { step: loss.step, first: low, mass, infinite: 1 - finite + 2 * tail };
}

/** The smallest ε ≥ 0 at which the distribution has at most this δ: exact, δ(ε) being linear in e^ε between grid points. */
export function epsilonOf({ step, first, mass, infinite }: LossDistribution, delta: number): number {
  if (infinite > delta) return Infinity;
  const fade = Math.exp(-step);
  // of the losses above the current one: their probability, and the same weighted by e^(current − loss)
  let above = 0;
  let weighted = 0;
  for (let i = mass.length - 1; i >= 0; i--) {
    const loss = (first + i) * step;
    weighted *= fade;
    if (infinite + above - weighted > delta || loss < 0) {
      // the answer lies between this grid point and the next one
      return Math.max(0, loss + Math.log((infinite + above - delta) / weighted));
    }
    above += mass[i]!;
    weighted += mass[i]!;
  }
  return Math.max(0, first * step + Math.log(Math.max(0, infinite + above - delta) / weighted));
}
