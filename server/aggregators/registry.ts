/** The aggregators that a plan can name besides the mean. Adding one: a file beside this one, its schema in protocol/plan.ts, a case here. */
import type { NamedArrays } from '../../protocol/tensors.ts';
import type { AggregatorInputs, AggregatorOutputs, AggregatorSpec } from './aggregator.ts';
import { coordinateMedian } from './coordinate-median.ts';
import { geometricMedian } from './geometric-median.ts';
import { multiKrum } from './multi-krum.ts';
import { normBound } from './norm-bound.ts';
import { trimmedMean } from './trimmed-mean.ts';

export type RobustSpec = Exclude<AggregatorSpec, { name: 'mean' }>;

type Rest = Omit<AggregatorInputs<unknown>, 'spec'>;

/** Applies the aggregator that the plan names; an empty state is that of the first round. */
export function aggregateRobustly(spec: RobustSpec, state: NamedArrays, inputs: Rest): Promise<AggregatorOutputs> {
  const from = <Spec>(aggregator: { init(spec: Spec): NamedArrays }, given: Spec): NamedArrays =>
    Object.keys(state).length > 0 ? state : aggregator.init(given);
  switch (spec.name) {
    case 'norm-bound':
      return normBound.apply(from(normBound, spec), { ...inputs, spec });
    case 'median':
      return coordinateMedian.apply(from(coordinateMedian, spec), { ...inputs, spec });
    case 'trimmed-mean':
      return trimmedMean.apply(from(trimmedMean, spec), { ...inputs, spec });
    case 'multi-krum':
      return multiKrum.apply(from(multiKrum, spec), { ...inputs, spec });
    case 'geometric-median':
      return geometricMedian.apply(from(geometricMedian, spec), { ...inputs, spec });
    default:
      return spec satisfies never;
  }
}
