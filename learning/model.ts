/**
 * The parameters of a plan: names, shapes, initial values and what of them is sent. Plain arrays, no engine, so that the
 * coordinator can import it.
 */
import type { Plan } from '../protocol/plan.ts';
import { stream } from '../protocol/random.ts';
import type { ReportShape } from '../protocol/sections.ts';
import { type NamedArrays, type NamedSpecs, sizeOf } from '../protocol/tensors.ts';
import type { Group, Manifest } from './contracts.ts';
import { contextOf, pretextOf } from './methods.ts';

export interface Model {
  /** `encoder` first, then the groups of the pretext task. */
  readonly groups: readonly Group[];
  /** All parameters, `<group>/<name>`, in manifest order. */
  readonly specs: NamedSpecs;
  /** The parameters that are sent and averaged, sorted by name: the order in which a model's file holds them. */
  readonly aggregated: NamedSpecs;
  /** The encoder's parameters alone, `encoder/<name>`. */
  readonly encoderSpecs: NamedSpecs;
  readonly reportShape: ReportShape;
  /** Initial values of all parameters; the same for the same seed on every platform. */
  init(seed: number | string): NamedArrays;
}

/** Names of a group's tensors with the group before them. */
const prefixed = <T>(group: string, entries: Readonly<Record<string, T>>): [string, T][] =>
  Object.entries(entries).map(([name, value]) => [`${group}/${name}`, value]);

const specsOf = (groups: readonly Group[]): NamedSpecs =>
  Object.fromEntries(groups.flatMap((group) => prefixed(group.name, group.manifest)));

const byName = (specs: NamedSpecs): NamedSpecs =>
  Object.fromEntries(Object.entries(specs).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Number of parameters. */
export const parameterCount = (specs: Manifest): number =>
  Object.values(specs).reduce((n, { shape }) => n + sizeOf(shape), 0);

function reportShapeOf(plan: Plan, dimension: number): ReportShape {
  const context = contextOf(plan);
  const { lossRange, statistics } = pretextOf(plan);
  if (plan.strategy.name !== 'shared-statistics' || !statistics) return { dimension, lossRange: lossRange(context) };
  return { dimension, lossRange: statistics.lossRange(context), statistics: statistics.report(context) };
}

/** @param plan complete (`completePlan`) @throws TacitError plan/refused when the encoder cannot take the plan's images */
export function modelOf(plan: Plan): Model {
  const context = contextOf(plan);
  const task = pretextOf(plan);
  const encoder: Group = {
    name: 'encoder',
    manifest: context.encoder.manifest(plan.encoder, plan.data.shape),
    init: (rng) => context.encoder.init(rng, plan.encoder, plan.data.shape),
    trainable: true,
    aggregate: true,
    writeBack: 'global',
    persist: false,
  };
  const groups = [encoder, ...task.groups(context)];
  const aggregated = byName(specsOf(groups.filter((group) => group.aggregate)));
  return {
    groups,
    specs: specsOf(groups),
    aggregated,
    encoderSpecs: specsOf([encoder]),
    reportShape: reportShapeOf(plan, parameterCount(aggregated)),
    init: (seed) =>
      Object.fromEntries(groups.flatMap((group) => prefixed(group.name, group.init(stream(seed, 'init', group.name))))),
  };
}
