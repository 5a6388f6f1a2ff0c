/**
 * What a participant keeps between its rounds, and the parameters that it starts a round with.
 * State is plain data, to be stored as it is; it belongs to one task under one plan, and is dropped under another.
 */
import type { Plan } from '../../protocol/plan.ts';
import { stream } from '../../protocol/random.ts';
import type { NamedArrays, NamedSpecs } from '../../protocol/tensors.ts';
import type { Group } from '../contracts.ts';
import type { Model } from '../model.ts';
import { under, within } from '../names.ts';
import { pick } from './arrays.ts';
import { type Drift, localShare, mix } from './write-back.ts';

export interface LocalState {
  readonly task: string;
  /** Names the plan (`planKey`). */
  readonly plan: string;
  /** The round after whose training it was taken. */
  readonly lastRound: number;
  /** Groups that persist, `params/<group>/<name>`, and the optimiser's state if the plan keeps it, `optimiser/…`. */
  readonly arrays: NamedArrays;
  readonly drift?: Drift;
}

/** 128 bits of the plan's content; not a cryptographic hash, since only the participant's own state is looked up by it. */
export function planKey(plan: Plan): string {
  const words = stream(JSON.stringify(plan), 'plan');
  return Array.from({ length: 4 }, () => words.uint32().toString(16).padStart(8, '0')).join('');
}

/** The state if it belongs to this task and plan and is not from a later round; else nothing. */
export function usable(local: LocalState | undefined, plan: Plan, round: number): LocalState | undefined {
  const fits = local?.task === plan.task && local.plan === planKey(plan) && local.lastRound <= round;
  return fits ? local : undefined;
}

const specsOf = (group: Group): NamedSpecs => under(group.name, group.manifest);

/** Values of a group that this participant has none of its own of, and nobody sends. */
function firstValues(group: Group, model: Model, global: NamedArrays, initial: () => NamedArrays): NamedArrays {
  if (group.aggregate) return pick(global, specsOf(group), 'the model');
  if (group.startsAs === undefined) return pick(initial(), specsOf(group), 'the initial model');
  const origin = model.groups.find(({ name }) => name === group.startsAs);
  if (!origin) throw new RangeError(`group ${group.name} starts as ${group.startsAs}, which does not exist`);
  return under(group.name, within(origin.name, firstValues(origin, model, global, initial)));
}

/**
 * All parameters at the start of a round: each group by its write-back from the global model and what was kept.
 * @param global the aggregated parameters @param initial those of the run's start, for groups that nobody sends
 * @throws TacitError weights/mismatch
 */
export function startOfRound(
  model: Model,
  global: NamedArrays,
  initial: () => NamedArrays,
  local: LocalState | undefined,
  round: number,
): NamedArrays {
  const trainedBefore = local !== undefined && local.lastRound >= round - 1;
  const kept = within('params', local?.arrays ?? {});
  const values = model.groups.map((group): NamedArrays => {
    const first = firstValues(group, model, global, initial);
    if (!group.persist || !Object.keys(group.manifest).every((name) => kept[`${group.name}/${name}`])) return first;
    const own = pick(kept, specsOf(group), 'the local state');
    const share = group.aggregate ? localShare(group.writeBack, local?.drift, trainedBefore) : 1;
    return Object.fromEntries(Object.entries(first).map(([name, g]) => [name, mix(own[name]!, g, share)]));
  });
  return Object.assign({}, ...values);
}

/** Whether a participant has anything to keep under this plan. */
export const keepsState = (plan: Plan, model: Model): boolean =>
  plan.training.optimiserState === 'keep' || model.groups.some((group) => group.persist);

/** What to keep after a round. */
export function endOfRound(
  plan: Plan,
  model: Model,
  round: number,
  after: { readonly parameters: NamedArrays; readonly optimiser: NamedArrays; readonly drift: Drift },
): LocalState {
  const persisted = model.groups.filter((group) => group.persist).flatMap((group) => Object.keys(specsOf(group)));
  const params = Object.fromEntries(persisted.map((name) => [name, after.parameters[name]!]));
  const optimiser = plan.training.optimiserState === 'keep' ? after.optimiser : {};
  return {
    task: plan.task,
    plan: planKey(plan),
    lastRound: round,
    arrays: { ...under('params', params), ...under('optimiser', optimiser) },
    drift: after.drift,
  };
}
