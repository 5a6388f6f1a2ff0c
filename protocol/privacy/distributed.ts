/**
 * Discrete Gaussian noise that each participant adds a part of: its sum is not quite a discrete Gaussian, and τ bounds how far it is.
 * Kairouz, Liu & Steinke 2021 (arXiv 2102.06387), Theorem 1 and Proposition 14. All lengths are in integer units of the ring.
 */
import { TacitError } from '../errors.ts';

/** Below this a sum of discrete Gaussians has visibly less variance than it should, and more divergence than a Gaussian. */
export const LEAST_LOCAL_SIGMA = 1;
/** From here τ is below 1e-30, and the sum as good as a Gaussian. */
export const SMOOTH_LOCAL_SIGMA = 3;

export interface DistributedNoise {
  /** Standard deviation of one participant's noise. */
  readonly localSigma: number;
  /** Participants whose noise is certain to be in the sum. */
  readonly participants: number;
  /** Longest report, in the L2 norm. */
  readonly sensitivity: number;
  readonly dimension: number;
}

/** How far the sum of n discrete Gaussians is from one, per coordinate. */
export function closeness(localSigma: number, participants: number): number {
  let sum = 0;
  for (let k = 1; k < participants; k++) sum += Math.exp((-2 * Math.PI ** 2 * localSigma ** 2 * k) / (k + 1));
  return 10 * sum;
}

/** @throws TacitError privacy/too-little-noise below `least` in integer units */
export function checkLocalSigma(localSigma: number, least = LEAST_LOCAL_SIGMA): void {
  if (localSigma >= least) return;
  throw new TacitError(
    'privacy/too-little-noise',
    `one participant's noise would have a standard deviation of ${localSigma.toPrecision(3)} ring units; at least ${least} is needed`,
    { hint: 'A smaller clipping bound or cohort gives a finer scale.' },
  );
}

/** RDP at one order of one release. @throws TacitError privacy/too-little-noise */
export function distributedRdp(noise: DistributedNoise, order: number): number {
  const { localSigma, participants, sensitivity, dimension } = noise;
  checkLocalSigma(localSigma);
  const sigma = Math.sqrt(participants) * localSigma;
  const tau = localSigma >= SMOOTH_LOCAL_SIGMA ? 0 : closeness(localSigma, participants);
  const ratio = sensitivity / sigma;
  // ‖x‖₁ of a vector of whole numbers is at most its squared L2 norm, and at most √d of its L2 norm
  const inL1 = Math.min(Math.sqrt(dimension) * sensitivity, sensitivity ** 2) / sigma;
  return (
    (order / 2) *
    Math.min(
      ratio ** 2 + (2 * tau * dimension) / order,
      ratio ** 2 + 2 * inL1 * tau + tau ** 2 * dimension,
      (ratio + Math.sqrt(dimension) * tau) ** 2,
    )
  );
}
