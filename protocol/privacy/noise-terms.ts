/** How much noise one participant adds, computed by itself from the plan (SPEC.md §8.4): no coordinator can name less. */
import { TacitError } from '../errors.ts';
import { scaleOf } from '../fixed-point.ts';
import type { Plan } from '../plan.ts';
import type { NoisedPrivacy } from '../plan-privacy.ts';
import { type Exchange, wordsOf } from '../sections.ts';
import { checkLocalSigma, SMOOTH_LOCAL_SIGMA } from './distributed.ts';
import { honestSurvivors, lengthOf, ROUNDING_SLACK } from './noised-exchange.ts';
import { roundedLength } from './rounding.ts';

export interface NoiseTerms {
  /** Ring units per 1.0, of every section. */
  readonly scale: number;
  /** Longest report after rounding, in ring units: the sensitivity of the sum. */
  readonly longest: number;
  /** Survivors whose noise is certain. */
  readonly honest: number;
  /** Standard deviation of one participant's noise, in ring units: all of what is promised comes from `honest` of them. */
  readonly localSigma: number;
}

/** @throws TacitError internal under a plan of another mode */
export function noisedPrivacyOf({ privacy }: Plan): NoisedPrivacy {
  if (privacy.mode === 'secagg+dp') return privacy;
  throw new TacitError('internal', `privacy mode ${privacy.mode} has no noise`);
}

/** @throws TacitError plan/refused, privacy/too-little-noise if the ring is too coarse for this cohort and noise */
export function noiseTermsOf(plan: Plan, exchange: Exchange): NoiseTerms {
  const privacy = noisedPrivacyOf(plan);
  const scale = scaleOf(exchange.sections[0]!, plan.rounds.maxCohort);
  const unrounded = lengthOf(exchange.sections) * scale;
  const longest = roundedLength(unrounded, wordsOf(exchange));
  if (longest > ROUNDING_SLACK * unrounded) {
    throw new TacitError(
      'plan/refused',
      `rounding could make a report ${(longest / unrounded).toFixed(3)} times as long`,
      {
        where: 'rounds.maxCohort',
        hint: 'A smaller rounds.maxCohort, a smaller model or a smaller noise multiplier gives a finer grid.',
      },
    );
  }
  const honest = honestSurvivors(privacy, plan.rounds);
  const localSigma = (privacy.noiseMultiplier * longest) / Math.sqrt(honest);
  // finer than it need be, so that the accountants may take the sum for a Gaussian
  checkLocalSigma(localSigma, SMOOTH_LOCAL_SIGMA);
  return { scale, longest, honest, localSigma };
}
