/**
 * The local policy: what this participant is willing to do, whatever a coordinator asks.
 * Its floors are checked against the plan before anything is trained and against each offer before it is accepted. The
 * functions are pure and answer with every reason in plain words, so that a person sees all of them at once.
 */
import { z } from 'zod';
import { toHex } from '../protocol/bytes.ts';
import { type ErrorCode, TacitError } from '../protocol/errors.ts';
import type { Offer } from '../protocol/messages.ts';
import type { Plan } from '../protocol/plan.ts';
import { LEAST_SECURE_COHORT, type NoisedPrivacy } from '../protocol/plan-privacy.ts';
import { leastInSum } from '../protocol/secagg/rules.ts';
import { epsilonAfter, type Notebook, notesOf } from './notebook.ts';

/** Names that are allowed; `any` allows whatever this version of the software knows. */
const allowed = z.union([z.literal('any'), z.array(z.string())]).default('any');
const most = (limit: number) => z.number().positive().default(limit);
const least = (limit: number) => z.int().min(0).default(limit);

const policySchema = z.strictObject({
  encoders: allowed,
  pretexts: allowed,
  strategies: allowed,
  privacyModes: allowed,
  /** SHA-256 (hex) of the plans that are accepted, if only those are. */
  planHashes: allowed,
  /** Refuse plans that admit participants without a certificate signed by the operator. */
  requireCertificates: z.boolean().default(false),
  /** Operators' keys (base64url) whose certificates count, if only those do: a plan names a key, and a coordinator wrote the plan. */
  operatorKeys: allowed,
  /** Fewest participants that a round must want: in a cohort of one, the new model shows everybody that one update. */
  minCohort: least(2),
  /** Fewest reports with which the plan may commit a round. */
  minReports: least(1),
  /** Fewest participants whose reports may be added up under masks; checked in the plan and again at every step of a session. */
  minSecureCohort: z.int().min(LEAST_SECURE_COHORT).default(5),
  /** Under differential privacy, the largest ε that all reports to this coordinator's task may add up to, and the largest δ. */
  maxEpsilon: most(10),
  maxDelta: z.number().positive().lt(1).default(1e-4),
  /** Fewest local steps: an update of a single step says more about its batch than one of many. */
  minSteps: least(1),
  maxSteps: most(10_000),
  /** Fewest images in a batch where the coordinator reads single updates: one of one step on one image can be that image. */
  minBatch: least(8),
  maxBatch: most(4096),
  maxRounds: most(10_000),
  /** Largest L2 norm to which an update may be clipped; a norm beyond it bounds nothing. */
  maxClipNorm: most(1000),
  /** Largest model that is trained here, in parameters that are sent. */
  maxParameters: most(50_000_000),
  /** Offers accepted within any hour. */
  maxOffersPerHour: most(1200),
  /** Reports sent for one model, whatever the plan allows. */
  maxContributionsPerModel: most(2),
});

/** Floors and ceilings of one participant. */
export type LocalPolicy = Readonly<z.infer<typeof policySchema>>;
type Allowed = LocalPolicy['encoders'];

/** Usable with every plan that comes with Tacit, and refuses what no honest plan needs. */
export const DEFAULT_POLICY: LocalPolicy = policySchema.parse({});

/** A policy from what a person wrote, with the defaults for what is missing. @throws TacitError policy/invalid */
export function parsePolicy(value: unknown): LocalPolicy {
  const parsed = policySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => {
    const unknown = issue.code === 'unrecognized_keys' ? issue.keys : [];
    return `${[...issue.path.map(String), ...unknown].join('.') || '(top level)'}: ${unknown.length > 0 ? 'there is no such key' : issue.message}`;
  });
  throw new TacitError('policy/invalid', lines.join('\n'), {
    hint: `A policy may have the keys ${Object.keys(DEFAULT_POLICY).join(', ')}.`,
  });
}

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
  const atLeast = (
    floor: 'minCohort' | 'minSecureCohort' | 'minReports' | 'minSteps' | 'minBatch',
    what: string,
    value: number,
  ) => {
    if (value < policy[floor]) refuse(floor, `${what} is ${value}; at least ${policy[floor]} is required here`);
  };
  const atMost = (
    floor: 'maxEpsilon' | 'maxDelta' | 'maxSteps' | 'maxBatch' | 'maxRounds' | 'maxClipNorm' | 'maxParameters',
    what: string,
    value: number,
  ) => {
    if (value > policy[floor]) refuse(floor, `${what} is ${value}; at most ${policy[floor]} is allowed here`);
  };

  if (!allows(policy.planHashes, facts.planHash)) {
    refuse('planHashes', `the plan's hash ${facts.planHash} is not among those that were pinned`);
  }
  name('encoders', 'the encoder', plan.encoder.name);
  name('pretexts', 'the pretext task', plan.pretext.name);
  name('strategies', 'the strategy', plan.strategy.name);
  name('privacyModes', 'the privacy mode', plan.privacy.mode);
  if (policy.requireCertificates && plan.admission.certificates !== 'required') {
    refuse('requireCertificates', 'the plan admits participants without a certificate, so some may be invented');
  }
  const { certificates, operatorKey = '' } = plan.admission;
  if (policy.operatorKeys !== 'any' && (certificates === 'none' || !policy.operatorKeys.includes(operatorKey))) {
    refuse('operatorKeys', "the plan's participants are not certified by an operator that is known here");
  }
  if (plan.privacy.mode === 'sealed') atLeast('minBatch', 'the batch size', plan.training.batch);
  else atLeast('minSecureCohort', 'the number of reports in a masked sum', leastInSum(plan.rounds));
  if (plan.privacy.mode === 'secagg+dp') {
    atMost('maxEpsilon', 'the privacy budget ε', plan.privacy.epsilon);
    atMost('maxDelta', 'the δ of the privacy budget', plan.privacy.delta);
  }
  atLeast('minCohort', 'the cohort', plan.rounds.cohort);
  atLeast('minReports', 'the number of reports that commits a round', plan.rounds.minReports);
  atLeast('minSteps', 'the number of local steps', plan.training.steps);
  atMost('maxSteps', 'the number of local steps', plan.training.steps);
  atMost('maxBatch', 'the batch size', plan.training.batch);
  atMost('maxRounds', 'the number of rounds', plan.rounds.count);
  atMost('maxClipNorm', 'the clipping norm', plan.privacy.clipNorm);
  atMost('maxParameters', 'the number of parameters sent', facts.parameters);
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
  if (offer.round >= plan.rounds.count) {
    return decline('policy/refused', `round ${offer.round + 1} is beyond the plan's ${plan.rounds.count}`);
  }
  const notes = notesOf(notebook, toHex(context.planHash));
  const modelHash = toHex(offer.modelHash);
  if (offer.round === 0 && plan.initialWeights && plan.initialWeights.modelHash !== modelHash) {
    return decline('policy/refused', 'the first round does not start from the initial weights that the plan names');
  }
  if (offer.round === notes.round && notes.modelHash !== undefined && notes.modelHash !== modelHash) {
    return decline('policy/refused', 'the offer does not start from the model that the last signed round gave');
  }
  const counted = withinLimit(policy, plan, notebook, modelHash);
  if (counted.kind === 'decline') return counted;
  const last = notes.lastOffer;
  if (last?.hash === offerHash) return withinBudget(policy, plan, notebook);
  if (last && !isLater(offer, last)) {
    const after = `round ${last.round + 1}, attempt ${last.attempt}`;
    return decline('round/stale', `round ${offer.round + 1}, attempt ${offer.attempt} does not come after ${after}`);
  }
  const recent = notebook.acceptedAtMs.filter((t) => t > nowMs - HOUR_MS).length;
  if (recent >= policy.maxOffersPerHour) {
    return decline('policy/refused', `${recent} offers within an hour; ${policy.maxOffersPerHour} is the limit here`);
  }
  return withinBudget(policy, plan, notebook);
}

/** Whether one more report for this model keeps to every limit on what leaves: asked once more right before it does. */
export function checkContribution(
  policy: LocalPolicy,
  plan: Plan,
  notebook: Notebook,
  modelHash: string,
): OfferDecision {
  const counted = withinLimit(policy, plan, notebook, modelHash);
  return counted.kind === 'decline' ? counted : withinBudget(policy, plan, notebook);
}

function withinLimit(policy: LocalPolicy, plan: Plan, notebook: Notebook, modelHash: string): OfferDecision {
  const limit = contributionLimit(policy, plan);
  const given = notebook.contributions[modelHash] ?? 0;
  if (given < limit) return { kind: 'accept' };
  return decline(
    'round/too-many-contributions',
    `this model has been contributed to ${given} times; ${limit} is the limit`,
  );
}

/** The most ε that all noised reports may add up to: the lower of the participant's own limit and the plan's. */
export const budgetOf = (policy: LocalPolicy, { epsilon }: NoisedPrivacy): number =>
  Math.min(policy.maxEpsilon, epsilon);

/** Whether one more noised report keeps to the plan's budget and to this participant's own. */
function withinBudget(policy: LocalPolicy, { privacy }: Plan, notebook: Notebook): OfferDecision {
  if (privacy.mode !== 'secagg+dp') return { kind: 'accept' };
  const budget = budgetOf(policy, privacy);
  const after = epsilonAfter(notebook, privacy.delta, privacy.noiseMultiplier);
  if (after <= budget) return { kind: 'accept' };
  return decline(
    'privacy/budget-spent',
    `one more report would bring ε to ${after.toFixed(3)} at δ = ${privacy.delta}; ${budget} is the limit`,
  );
}

const isLater = (offer: { round: number; attempt: number }, than: { round: number; attempt: number }): boolean =>
  offer.round > than.round || (offer.round === than.round && offer.attempt > than.attempt);
