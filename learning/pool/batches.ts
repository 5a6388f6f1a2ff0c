/** Which examples each step sees: a seeded permutation, walked through and drawn anew at its end, so every batch is full. */
import { permutation, type Rng } from '../../protocol/random.ts';

/** @returns a function that gives the next `batch` indices of 0 … length−1; within one walk no index comes twice */
export function wrapAroundBatches(length: number, batch: number, rng: Rng): () => Int32Array {
  let order = new Int32Array(0);
  let at = 0;
  return () => {
    const indices = new Int32Array(batch);
    for (let i = 0; i < batch; i++) {
      if (at === order.length) {
        order = permutation(rng, length) as Int32Array<ArrayBuffer>;
        at = 0;
      }
      indices[i] = order[at++]!;
    }
    return indices;
  };
}
