/**
 * The median of each coordinate: stands fewer than half of the updates being anything at all.
 * Yin, Chen, Kannan & Bartlett, ICML 2018 (arXiv 1803.01498).
 */
import { type Aggregator, byCoordinate, middleOf, type SpecOf } from './aggregator.ts';

export const coordinateMedian: Aggregator<SpecOf<'median'>> = {
  paper: 'Yin et al., ICML 2018',
  init: () => ({}),
  apply: async (state, inputs) => ({ state, aggregate: await byCoordinate(inputs, middleOf) }),
};
