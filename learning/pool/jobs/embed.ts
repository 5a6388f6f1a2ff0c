/** Features of every example of a source: the encoder's embeddings, or the raw pixels as the baseline that they must beat. */
import type { Plan } from '../../../protocol/plan.ts';
import type { NamedArrays } from '../../../protocol/tensors.ts';
import type { SourceSpec } from '../../data/source.ts';
import { encodeAll, type FeatureTable, groupsOf, loadEncoder, pixelsOf } from '../encode.ts';
import type { JobContext } from '../job.ts';

export interface EmbedInput {
  readonly plan: Plan;
  /** Weights, of which `encoder/…` are used; absent: pixels. */
  readonly model?: NamedArrays;
  readonly source: SourceSpec;
}

export interface EmbedOutput extends FeatureTable {
  /** The group of each example, if the source has groups. */
  readonly labels?: Int32Array;
  /** Names of the groups. */
  readonly classes?: readonly string[];
}

/** @throws TacitError weights/mismatch, and those of the data source */
export async function embed({ plan, model, source: spec }: EmbedInput, context: JobContext): Promise<EmbedOutput> {
  const source = await context.openSource(spec, plan.data);
  const report = (done: number): void => {
    context.checkpoint();
    context.progress({ done, total: source.length });
  };
  const table = model
    ? await encodeAll(await loadEncoder(plan, model, context), source, report)
    : await pixelsOf(source, report);
  const labels = groupsOf(source);
  return { ...table, ...(labels ? { labels } : {}), ...(source.groups ? { classes: source.groups } : {}) };
}
