/**
 * A picture of features: each row as a point in the plane, near rows near each other. UMAP (McInnes, Healy & Melville 2018) on
 * rows of unit length, so that distance means cosine as in the nearest-neighbour vote. A map shows what lies together; its
 * distances, sizes and empty spaces mean little.
 */
import { stream } from '../../../protocol/random.ts';
import { type Features, normaliseRows } from '../../evaluation/features.ts';
import type { JobContext } from '../job.ts';

export interface EmbeddingMapInput {
  readonly features: Features;
  readonly seed: number;
  readonly neighbours?: number;
}

/** Rows below which the method has no neighbourhoods to preserve. */
const FEWEST = 4;

/** @returns [rows, 2], each axis scaled to [−1, 1]; the same for the same features and seed */
export async function embeddingMap(
  { features, seed, neighbours = 15 }: EmbeddingMapInput,
  context: JobContext,
): Promise<Float32Array> {
  const { rows, columns } = features;
  if (rows < FEWEST) throw new RangeError(`an embedding map needs at least ${FEWEST} rows`);
  // loaded when it is wanted: participants in browsers never draw a map
  const { UMAP } = await import('umap-js');
  const { data } = normaliseRows(features);
  const points = Array.from({ length: rows }, (_, i) => Array.from(data.subarray(i * columns, (i + 1) * columns)));
  const umap = new UMAP({ nNeighbors: Math.min(neighbours, rows - 1), random: stream(seed, 'embedding-map').next });
  const epochs = umap.initializeFit(points);
  for (let epoch = 0; epoch < epochs; epoch++) {
    context.checkpoint();
    umap.step();
    context.progress({ done: epoch + 1, total: epochs });
  }
  return scaled(umap.getEmbedding());
}

function scaled(points: readonly (readonly number[])[]): Float32Array {
  const map = new Float32Array(2 * points.length);
  for (const axis of [0, 1]) {
    const values = points.map((p) => p[axis]!);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const half = (high - low) / 2 || 1;
    values.forEach((value, i) => {
      map[2 * i + axis] = (value - low) / half - 1;
    });
  }
  return map;
}
