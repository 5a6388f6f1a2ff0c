/** A sampled Gaussian mechanism that is used many times: its parameters, checked, and where they cannot be used, said so. */
import { TacitError } from '../errors.ts';

export interface Mechanism {
  /** Standard deviation of the noise of a sum, in units of the clipping norm. */
  readonly noiseMultiplier: number;
  /** Probability with which each participant is drawn into a round; 1 claims nothing from sampling. */
  readonly sampling: number;
  /** Releases in which one participant may be: rounds times sums per round. */
  readonly rounds: number;
  /** Probability with which ε may not hold. */
  readonly delta: number;
}

const unusable = (where: string, value: number, must: string): TacitError =>
  new TacitError('privacy/out-of-range', `${where} is ${value}; it must be ${must}`, { where });

/** @throws TacitError privacy/out-of-range, naming the parameter */
export function checkDelta(delta: number): void {
  // with δ near 1 any mechanism is "private"; 1e-100 is where the accountants' arithmetic ends
  if (!(delta >= 1e-100 && delta < 1)) throw unusable('delta', delta, 'below 1 and at least 1e-100');
}

/** @throws TacitError privacy/out-of-range */
export function checkEpsilon(epsilon: number): void {
  if (!(epsilon >= 1e-6 && epsilon <= 1000)) throw unusable('epsilon', epsilon, 'from 1e-6 to 1000');
}

/** @throws TacitError privacy/out-of-range */
export function checkSampling(sampling: number): void {
  if (!(sampling >= 1e-9 && sampling <= 1)) throw unusable('sampling', sampling, 'a probability from 1e-9 to 1');
}

/** @throws TacitError privacy/out-of-range */
export function checkRounds(rounds: number): void {
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1e7) {
    throw unusable('rounds', rounds, 'a whole number from 1 to 10,000,000');
  }
}

/** @throws TacitError privacy/out-of-range */
export function checkMechanism({ noiseMultiplier, sampling, rounds, delta }: Mechanism): void {
  if (!(noiseMultiplier >= 0.05 && noiseMultiplier <= 1e6)) {
    throw unusable('noiseMultiplier', noiseMultiplier, 'from 0.05 to 1,000,000');
  }
  checkSampling(sampling);
  checkRounds(rounds);
  checkDelta(delta);
}
