/**
 * The mean of those updates that have the closest neighbours: each is scored by its squared distances to the n − f − 2 nearest others,
 * and the n − f best are kept. Blanchard, El Mhamdi, Guerraoui & Stainer, NeurIPS 2017 (arXiv 1703.02757). With data that differ
 * between participants it drops honest minorities too.
 */
import { TacitError } from '../../protocol/errors.ts';
import { type Aggregator, type SpecOf, squaredDistance, weightedMean } from './aggregator.ts';

/** Indices of the kept updates, best first; of equal scores the earlier. */
export async function selectMultiKrum(
  updates: readonly Float32Array[],
  byzantine: number,
  breathe: () => Promise<void>,
): Promise<number[]> {
  const n = updates.length;
  if (n < 2 * byzantine + 3) {
    throw new TacitError(
      'round/too-few-reports',
      `multi-krum against ${byzantine} needs ${2 * byzantine + 3} reports, not ${n}`,
    );
  }
  const distances = updates.map(() => new Float64Array(n));
  for (let a = 0; a < n; a++) {
    for (let b = a + 1; b < n; b++) {
      const squared = squaredDistance(updates[a]!, updates[b]!);
      distances[a]![b] = squared;
      distances[b]![a] = squared;
    }
    await breathe();
  }
  const scores = distances.map((row, own) =>
    [...row]
      .filter((_, other) => other !== own)
      .sort((a, b) => a - b)
      .slice(0, n - byzantine - 2)
      .reduce((a, b) => a + b, 0),
  );
  const order = scores.map((_, k) => k).sort((a, b) => scores[a]! - scores[b]! || a - b);
  return order.slice(0, n - byzantine);
}

export const multiKrum: Aggregator<SpecOf<'multi-krum'>> = {
  paper: 'Blanchard et al., NeurIPS 2017',
  init: () => ({}),
  apply: async (state, { spec, updates, breathe }) => {
    const kept = await selectMultiKrum(updates, spec.byzantine, breathe);
    const chosen = kept.sort((a, b) => a - b).map((k) => updates[k]!);
    return {
      state,
      aggregate: await weightedMean(
        { updates: chosen, breathe },
        chosen.map(() => 1),
      ),
    };
  },
};
