/** Augmented views of some examples, as the pretext task would see them before normalisation: to look at, or to embed. */
import type { Plan } from '../../../protocol/plan.ts';
import { stream } from '../../../protocol/random.ts';
import { float32, type NDArray, sizeOf } from '../../../protocol/tensors.ts';
import type { SourceSpec } from '../../data/source.ts';
import { under } from '../../names.ts';
import { viewProgram } from '../../train-step.ts';
import { drawView } from '../../views.ts';
import type { JobContext } from '../job.ts';

export interface ViewsInput {
  readonly plan: Plan;
  readonly source: SourceSpec;
  /** Examples that are looked at, in this order. */
  readonly indices: Int32Array;
  /** Views of each example. */
  readonly views: number;
  readonly seed: number | string;
}

export interface ViewsOutput {
  /** [indices.length, h, w, c] in [0, 1]: the examples themselves, fitted to the plan's shape. */
  readonly originals: NDArray;
  /** The same shape for each view. */
  readonly views: readonly NDArray[];
}

/** Examples that are augmented at once. */
const PIECE = 64;

/** Runs of exactly `size` of the positions 0 … count−1; the last one is filled up with its first position. */
function* pieces(count: number, size: number): Generator<{ readonly from: number; readonly positions: Int32Array }> {
  for (let from = 0; from < count; from += size) {
    yield { from, positions: Int32Array.from({ length: size }, (_, i) => (from + i < count ? from + i : from)) };
  }
}

/** @throws TacitError data/not-found for an index that the source lacks, and those of reading */
export async function views(input: ViewsInput, context: JobContext): Promise<ViewsOutput> {
  const { plan, indices, seed } = input;
  const source = await context.openSource(input.source, plan.data);
  const shape = [indices.length, ...plan.data.shape];
  const size = sizeOf(plan.data.shape);
  const batch = Math.min(PIECE, indices.length);
  const program = await context.load(viewProgram(plan, batch));
  const rngs = Array.from({ length: input.views }, (_, view) => stream(seed, 'preview', view));
  const originals = float32(shape);
  const made = rngs.map(() => float32(shape));
  for (const { from, positions } of pieces(indices.length, batch)) {
    const { image } = await source.read(positions.map((p) => indices[p]!));
    const wanted = size * Math.min(batch, indices.length - from);
    (originals.data as Float32Array).set((image.data as Float32Array).subarray(0, wanted), from * size);
    for (const [v, rng] of rngs.entries()) {
      const { view } = await program.run({ images: image, ...under('draws', drawView(plan, rng, batch)) });
      (made[v]!.data as Float32Array).set((view!.data as Float32Array).subarray(0, wanted), from * size);
    }
    context.progress({ done: Math.min(from + batch, indices.length), total: indices.length });
  }
  return { originals, views: made };
}
