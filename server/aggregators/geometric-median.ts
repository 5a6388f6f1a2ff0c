/**
 * The point with the smallest sum of distances to all updates, by Weiszfeld's algorithm with smoothing: stands fewer than half of the
 * updates being wrong, and does not depend on the axes. Pillutla, Kakade & Harchaoui, "RFA", IEEE TSP 2022 (arXiv 1912.13445).
 * It starts from the coordinate median and measures by the median distance: by the mean or the largest one, a single update far away
 * could end it early.
 */
import { type Aggregator, byCoordinate, middleOf, type SpecOf, squaredDistance, weightedMean } from './aggregator.ts';

/**
 * Distances below this share of the median one count as this, so that nothing is divided by zero. It begins at 1 and halves with each
 * step: with a small one from the start, a point that happens to be an update would never leave it.
 */
const SMOOTHING = 1e-6;
/** A step that moves the point by less than this share of the median distance is the last. */
const SETTLED = 1e-5;

export const geometricMedian: Aggregator<SpecOf<'geometric-median'>> = {
  paper: 'Pillutla et al., IEEE TSP 2022',
  init: () => ({}),
  apply: async (state, inputs) => {
    const { spec, updates } = inputs;
    let aggregate = await byCoordinate(inputs, middleOf);
    for (let i = 0; i < spec.iterations; i++) {
      const distances = updates.map((update) => Math.sqrt(squaredDistance(update, aggregate)));
      const usual = middleOf([...distances].sort((a, b) => a - b));
      if (usual === 0) break; // half of the updates are this very point
      const smoothing = Math.max(SMOOTHING, 0.5 ** i);
      const next = await weightedMean(
        inputs,
        distances.map((distance) => 1 / Math.max(distance, smoothing * usual)),
      );
      const moved = Math.sqrt(squaredDistance(next, aggregate));
      aggregate = next;
      if (smoothing === SMOOTHING && moved <= SETTLED * usual) break;
    }
    return { state, aggregate };
  },
};
