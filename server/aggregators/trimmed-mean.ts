/**
 * The mean of each coordinate without its largest and smallest values: stands up to the trimmed share of wrong updates, and loses
 * less of the honest ones than the median. Yin, Chen, Kannan & Bartlett, ICML 2018 (arXiv 1803.01498).
 */
import { type Aggregator, byCoordinate, type SpecOf } from './aggregator.ts';

export const trimmedMean: Aggregator<SpecOf<'trimmed-mean'>> = {
  paper: 'Yin et al., ICML 2018',
  init: () => ({}),
  apply: async (state, inputs) => {
    const cut = Math.floor(inputs.spec.trim * inputs.updates.length);
    const mean = (sorted: Float32Array): number => {
      let sum = 0;
      for (let k = cut; k < sorted.length - cut; k++) sum += sorted[k]!;
      return sum / (sorted.length - 2 * cut);
    };
    return { state, aggregate: await byCoordinate(inputs, mean) };
  },
};
