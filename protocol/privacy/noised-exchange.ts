/**
 * What a report under differential privacy holds (SPEC.md §8.4). The delta is divided by the clipping norm, so that every bound, scale
 * and noise follows from the plan even where the norm adapts. A loss and a clip bit are worth having too: small, beside the delta,
 * in the same vector, under the same noise. Nothing else: an exact number beside a noised sum would be a release of its own.
 */
import type { Plan } from '../plan.ts';
import type { NoisedPrivacy } from '../plan-privacy.ts';
import { colludersOf, leastGroup, leastInSum, thresholdOf } from '../secagg/rules.ts';
import type { Exchange, ReportShape, Section } from '../sections.ts';

/** Largest magnitude of the loss and of the clip bit, where a delta has norm 1: each adds half a percent to the noise. */
export const SIDE = 0.1;
/** Whether the delta's norm was within the clipping norm. */
export const WITHIN = 'clip/within';
/** The array that brings a clipping norm that adapts. */
export const CLIP_NORM = 'clipNorm';

/** How much longer a report may become by rounding; a plan under which it could become longer is refused. */
export const ROUNDING_SLACK = 1.01;
/** Standard deviations of a sum's noise for which the scale leaves room: passed with 1e-32. */
const HEADROOM_SIGMAS = 12;

/** Survivors whose noise is certain, of the smallest group that the plan allows; it never falls as groups grow. */
export function honestSurvivors({ collusion }: NoisedPrivacy, rounds: Plan['rounds']): number {
  const size = leastGroup(rounds);
  return Math.max(1, collusion ? thresholdOf(size) - colludersOf(size) : leastInSum(rounds));
}

const section = (name: string, length: number, sensitivity: number, headroom: number): Section => ({
  name,
  length,
  reduce: 'sum',
  bound: 1,
  ringBits: 32,
  clipGroup: null,
  noised: { sensitivity, headroom },
});

/** The longest that the values of one report may be, before rounding. */
export const lengthOf = (sections: readonly Section[]): number =>
  Math.sqrt(sections.reduce((squares, { noised }) => squares + (noised?.sensitivity ?? 0) ** 2, 0));

/** The one exchange of a round. */
export function noisedExchange(privacy: NoisedPrivacy, rounds: Plan['rounds'], shape: ReportShape): Exchange {
  const adaptive = privacy.adaptiveClipping !== null;
  const longest = Math.sqrt(1 + SIDE ** 2 * (adaptive ? 2 : 1)) * ROUNDING_SLACK;
  const surplus = Math.sqrt(rounds.maxCohort / honestSurvivors(privacy, rounds));
  const headroom = HEADROOM_SIGMAS * privacy.noiseMultiplier * longest * surplus;
  return {
    index: 0,
    name: 'train',
    sections: [
      { ...section('delta', shape.dimension, 1, headroom), clipGroup: 'update' },
      { ...section('metrics/loss', 1, SIDE, headroom), range: shape.lossRange },
      ...(adaptive ? [section(WITHIN, 1, SIDE, headroom)] : []),
    ],
    brings: adaptive ? { [CLIP_NORM]: { shape: [], dtype: 'float32' } } : {},
  };
}
