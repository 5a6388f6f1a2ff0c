/** How much noise a budget takes: the accountants, inverted. */
import { gaussianNoise } from './gaussian.ts';
import { checkDelta, checkEpsilon, checkRounds, checkSampling, type Mechanism } from './mechanism.ts';
import { rdpEpsilon } from './rdp.ts';
import { tightEpsilon } from './spent.ts';

export interface Budget extends Omit<Mechanism, 'noiseMultiplier'> {
  readonly epsilon: number;
}

const SMALLEST = 0.05;
/** The answer is at most this much above the smallest noise that will do. */
const RELATIVE = 1e-4;

/** A z in (low, high] with f(z) ≤ limit, f falling and f(high) ≤ limit. */
function bisect(low: number, high: number, relative: number, keeps: (z: number) => boolean): number {
  let [below, above] = [low, high];
  while (above - below > relative * above) {
    const middle = (below + above) / 2;
    if (keeps(middle)) above = middle;
    else below = middle;
  }
  return above;
}

/**
 * The smallest noise multiplier (to 1e-4, rounded up) with which `rounds` releases keep to `epsilon`.
 * @throws TacitError privacy/out-of-range
 */
export function noiseMultiplierFor(budget: Budget): number {
  const { epsilon, delta, rounds, sampling } = budget;
  checkEpsilon(epsilon);
  checkDelta(delta);
  checkRounds(rounds);
  checkSampling(sampling);
  if (sampling === 1) return Math.max(SMALLEST, gaussianNoise(epsilon, rounds, delta));
  // Rényi accounting is quick and never below, so it gives an upper end to search from
  const safe = (z: number): boolean => rdpEpsilon(sampling, z, rounds, delta).epsilon <= epsilon;
  let high = 1;
  while (!safe(high)) high *= 2;
  high = bisect(SMALLEST, high, 1e-2, safe);
  const tight = (z: number): boolean => tightEpsilon({ ...budget, noiseMultiplier: z }) <= epsilon;
  let low = high;
  while (low > SMALLEST && tight(low)) {
    high = low;
    low = Math.max(SMALLEST, low * 0.8);
  }
  return tight(low) ? low : bisect(low, high, RELATIVE, tight);
}
