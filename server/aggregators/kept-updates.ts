/** The updates of one round, kept apart for a robust aggregator: 4 bytes for each number of each report, within the plan's limit. */
import { decodeSum } from '../../protocol/fixed-point.ts';
import type { Plan } from '../../protocol/plan.ts';
import type { Exchange } from '../../protocol/sections.ts';
import type { NamedArrays } from '../../protocol/tensors.ts';
import type { AggregatorOutputs } from './aggregator.ts';
import { aggregateRobustly } from './registry.ts';

export interface KeptUpdates {
  /** Keeps the delta of a verified report. */
  add(words: Int32Array): void;
  /** What the plan's aggregator makes of them, given its state after the round before. */
  aggregate(state: NamedArrays): Promise<AggregatorOutputs>;
}

/** Lets sockets and timers have their turn. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Nothing where the mean of the sum is all that is asked for. */
export function keptUpdatesOf({ privacy, rounds }: Plan, exchange: Exchange): KeptUpdates | undefined {
  if (privacy.mode !== 'sealed' || privacy.aggregator.name === 'mean') return undefined;
  const spec = privacy.aggregator;
  const updates: Float32Array[] = [];
  const weights: number[] = [];
  return {
    add(words) {
      const { delta, weight } = decodeSum(exchange, words, rounds.maxCohort);
      updates.push(delta!);
      weights.push(weight![0]!);
    },
    aggregate: (state) => aggregateRobustly(spec, state, { updates, weights, breathe }),
  };
}
