/**
 * The local policy: what this participant is willing to do, whatever a coordinator asks (SECURITY-SPEC §1.4, A8, A10, A18).
 * Its floors are checked against the plan before anything is trained and against each offer before it is accepted. The
 * functions are pure and answer with every reason in plain words, so that a person sees all of them at once.
 */
import { toHex } from '../protocol/bytes.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { Offer } from '../protocol/messages.ts';
import type { Plan } from '../protocol/plan.ts';
import { type Notebook, notesOf } from './notebook.ts';

/** Names that are allowed; `any` allows whatever this version of the software knows. */
export type Allowed = 'any' | readonly string[];

/** Floors and ceilings of one participant. */
export interface LocalPolicy {
  readonly encoders: Allowed;
  readonly pretexts: Allowed;
  readonly strategies: Allowed;
  readonly privacyModes: Allowed;
  /** SHA-256 (hex) of the only plans that are accepted; undefined accepts any that passes the rest. */
  readonly planHashes: readonly string[] | undefined;
  /** Refuse plans that admit participants without a certificate signed by the operator. */
  readonly requireCertificates: boolean;
  /** Fewest participants that a round must want: in a cohort of one, the new model shows everybody that one update. */
  readonly minCohort: number;
  /** Fewest reports with which the plan may commit a round. */
  readonly minReports: number;
  /** Fewest local steps: an update of a single step says more about its batch than one of many. */
  readonly minSteps: number;
  readonly maxSteps: number;
  readonly maxBatch: number;
  readonly maxRounds: number;
  /** Largest L2 norm to which an update may be clipped; a norm beyond it bounds nothing. */
  readonly maxClipNorm: number;
  /** Largest model that is trained here, in parameters that are sent. */
  readonly maxParameters: number;
  /** Offers accepted within any hour. */
  readonly maxOffersPerHour: number;
  /** Reports sent for one model, whatever the plan allows. */
  readonly maxContributionsPerModel: number;
}

/** Usable with every plan that comes with Tacit, and refuses what no honest plan needs. */
export const DEFAULT_POLICY: LocalPolicy = {
  encoders: 'any',
  pretexts: 'any',
  strategies: 'any',
  privacyModes: 'any',
  planHashes: undefined,
  requireCertificates: false,
  minCohort: 2,
  minReports: 1,
  minSteps: 1,
  maxSteps: 10_000,
  maxBatch: 4096,
  maxRounds: 10_000,
  maxClipNorm: 1000,
  maxParameters: 50_000_000,
  maxOffersPerHour: 1200,
  maxContributionsPerModel: 2,
};

/** One reason to refuse: which floor, and what it says in plain words. */
export interface Refusal {
  readonly floor: keyof LocalPolicy;
  readonly reason: string;
}

const allows = (allowed: Allowed, name: string): boolean => allowed === 'any' || allowed.includes(name);

const listed = (allowed: Allowed): string =>
  allowed === 'any' ? 'any' : allowed.length === 0 ? 'none' : allowed.join(', ');

/** What a policy check looks at besides the plan: facts that only the receiver of the bytes can compute. */
export interface PlanFacts {
  /** SHA-256 of the plan's bytes as they came, in hex. */
  readonly planHash: string;
  /** Number of parameters that are sent. */
  readonly parameters: number;
}

/** Every way in which `plan` falls below the floors of `policy`; none: it is acceptable. */
export function checkPlan(policy: LocalPolicy, plan: Plan, facts: PlanFacts): readonly Refusal[] {
  const refusals: Refusal[] = [];
  const refuse = (floor: keyof LocalPolicy, reason: string) => refusals.push({ floor, reason });
  const name = (floor: 'encoders' | 'pretexts' | 'strategies' | 'privacyModes', what: string, value: string) => {
    if (!allows(policy[floor], value))
      refuse(floor, `${what} "${value}" is not allowed here (${listed(policy[floor])})`);
  };
  const least = (floor: 'minCohort' | 'minReports' | 'minSteps', what: string, value: number) => {
    if (value < policy[floor]) refuse(floor, `${what} is ${value}; at least ${policy[floor]} is required here`);
  };
  const most = (
    floor: 'maxSteps' | 'maxBatch' | 'maxRounds' | 'maxClipNorm' | 'maxParameters',
    what: string,
    value: number,
  ) => {
    if (value > policy[floor]) refuse(floor, `${what} is ${value}; at most ${policy[floor]} is allowed here`);
  };

  if (policy.planHashes && !policy.planHashes.includes(facts.planHash)) {
    refuse('planHashes', `the plan's hash ${facts.planHash} is not among those that were pinned`);
  }
  name('encoders', 'the encoder', plan.encoder.name);
  name('pretexts', 'the pretext task', plan.pretext.name);
  name('strategies', 'the strategy', plan.strategy.name);
  name('privacyModes', 'the privacy mode', plan.privacy.mode);
  if (policy.requireCertificates && plan.admission.certificates !== 'required') {
    refuse('requireCertificates', 'the plan admits participants without a certificate, so some may be invented');
  }
  least('minCohort', 'the cohort', plan.rounds.cohort);
  least('minReports', 'the number of reports that commits a round', plan.rounds.minReports);
  least('minSteps', 'the number of local steps', plan.training.steps);
  most('maxSteps', 'the number of local steps', plan.training.steps);
  most('maxBatch', 'the batch size', plan.training.batch);
  most('maxRounds', 'the number of rounds', plan.rounds.count);
  most('maxClipNorm', 'the clipping norm', plan.privacy.clipNorm);
  most('maxParameters', 'the number of parameters sent', facts.parameters);
  return refusals;
}

/** How often this participant reports for one model at most: the lower of its own limit and the plan's. */
export const contributionLimit = (policy: LocalPolicy, plan: Plan): number =>
  Math.min(policy.maxContributionsPerModel, plan.rounds.maxContributionsPerModel);

/** What to do with an offer; a decline says why, to the coordinator as to the person. */
export type OfferDecision =
  | { readonly kind: 'accept' }
  | { readonly kind: 'decline'; readonly code: ErrorCode; readonly reason: string };

/** What an offer is measured against. */
export interface OfferContext {
  readonly plan: Plan;
  readonly planHash: Uint8Array;
  /** Hex of the offer's hash. */
  readonly offerHash: string;
  readonly notebook: Notebook;
  readonly nowMs: number;
}

const HOUR_MS = 3_600_000;
const decline = (code: ErrorCode, reason: string): OfferDecision => ({ kind: 'decline', code, reason });

/** Whether to accept a correctly signed offer; see `checkPlan` for what the plan itself must hold. */
export function checkOffer(policy: LocalPolicy, offer: Offer, context: OfferContext): OfferDecision {
  const { plan, notebook, offerHash, nowMs } = context;
  if (offer.task !== plan.task) return decline('round/stale', `the offer is for task ${offer.task}, not ${plan.task}`);
  if (toHex(offer.planHash) !== toHex(context.planHash)) {
    return decline('policy/refused', 'the offer names another plan than the one that was agreed to');
  }
  if (offer.kind !== 'train') return decline('policy/refused', `offers of kind "${offer.kind}" are not taken here`);
  if (offer.round > plan.rounds.count) {
    return decline('policy/refused', `round ${offer.round} is beyond the plan's ${plan.rounds.count}`);
  }
  const last = notesOf(notebook, toHex(context.planHash)).lastOffer;
  if (last && last.hash !== offerHash && !isLater(offer, last)) {
    return decline(
      'round/stale',
      `round ${offer.round}, attempt ${offer.attempt} is not after ${last.round}, ${last.attempt}`,
    );
  }
  if (last?.hash === offerHash) return { kind: 'accept' };
  const limit = contributionLimit(policy, plan);
  const given = notebook.contributions[toHex(offer.modelHash)] ?? 0;
  if (given >= limit) {
    return decline(
      'round/too-many-contributions',
      `this model has been contributed to ${given} times; ${limit} is the limit`,
    );
  }
  const recent = notebook.acceptedAtMs.filter((t) => t > nowMs - HOUR_MS).length;
  if (recent >= policy.maxOffersPerHour) {
    return decline('policy/refused', `${recent} offers within an hour; ${policy.maxOffersPerHour} is the limit here`);
  }
  return { kind: 'accept' };
}

const isLater = (offer: { round: number; attempt: number }, than: { round: number; attempt: number }): boolean =>
  offer.round > than.round || (offer.round === than.round && offer.attempt > than.attempt);
