/** The terms of a session as both sides read them off the plan and the offer; none is ever taken from the other side. */
import type { Offer } from '../messages.ts';
import type { Plan } from '../plan.ts';
import { checkMaskable, type Exchange, wordsOf } from '../sections.ts';
import type { SessionTerms } from './contracts.ts';

/** @param modelHash SHA-256 of the model's bytes: as received by a participant, the offer's by default */
/** @throws TacitError plan/refused if a section cannot be summed under masks */
export function termsOf(
  plan: Plan,
  exchanges: readonly Exchange[],
  offer: Offer,
  offerHash: Uint8Array,
  modelHash: Uint8Array = offer.modelHash,
): SessionTerms {
  checkMaskable(exchanges);
  return {
    offerHash,
    planHash: offer.planHash,
    modelHash,
    exchanges: exchanges.map(wordsOf),
    minCohort: plan.rounds.minReports,
    maxCohort: plan.rounds.maxCohort,
    allowNoDropout: plan.privacy.mode !== 'sealed' && plan.privacy.allowNoDropout,
  };
}
