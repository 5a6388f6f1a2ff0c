/** `tacit data check`: reports on a data source, in Node, before anyone joins with it. */
import { type DataReport, type DataRequirements, type InspectOptions, inspect } from './inspect.ts';
import { openRasters } from './open.ts';
import type { SourceSpec } from './source.ts';

export type { DataReport, DataRequirements, InspectOptions } from './inspect.ts';

/**
 * Decodes the examples one after the other and says how they fit the plan.
 * @param requirements plan.data
 * @throws TacitError data/not-found, data/unreadable when the source as a whole cannot be opened; single images that cannot
 * be read are listed in the report
 */
export async function checkSource(
  spec: SourceSpec,
  requirements: DataRequirements,
  options: InspectOptions = {},
): Promise<DataReport> {
  const rasters = await openRasters(spec, requirements.shape);
  return inspect(rasters, requirements, { ...options, ...(spec.indices ? { indices: spec.indices } : {}) });
}
