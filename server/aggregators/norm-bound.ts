/**
 * The weighted mean of updates that are shortened to a common length: nobody moves the model further than others do. The length is the
 * plan's, or the median length of the last round (of this one in the first). Sun et al. 2019 (arXiv 1911.07963).
 */
import type { NamedArrays } from '../../protocol/tensors.ts';
import { type Aggregator, middleOf, type SpecOf, squaredDistance, weightedMean } from './aggregator.ts';

const boundIn = (state: NamedArrays): number | undefined => state.bound?.data[0];

export const normBound: Aggregator<SpecOf<'norm-bound'>> = {
  paper: 'Sun et al. 2019',
  init: ({ bound }): NamedArrays =>
    bound === null ? {} : { bound: { shape: [], dtype: 'float32', data: Float32Array.of(bound) } },
  apply: async (state, { spec, updates, weights, breathe }) => {
    const norms = updates.map((update) => Math.sqrt(squaredDistance(update)));
    const median = middleOf([...norms].sort((a, b) => a - b));
    const bound = boundIn(state) ?? median;
    const shortened = updates.map((update, k) => {
      const factor = bound / norms[k]!;
      return norms[k]! > bound ? update.map((x) => x * factor) : update;
    });
    const next: NamedArrays = { bound: { shape: [], dtype: 'float32', data: Float32Array.of(median) } };
    return {
      state: spec.bound === null ? next : state,
      aggregate: await weightedMean({ updates: shortened, breathe }, weights),
    };
  },
};
