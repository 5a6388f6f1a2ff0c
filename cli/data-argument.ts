/** What `--data` names: `digits`, `digits:test`, a folder, an IDX or a CSV file. */
import { sourceSpecFromPath } from '../learning/data/locate.ts';
import { BUNDLED } from '../learning/data/manifest.ts';
import type { SourceSpec } from '../learning/data/source.ts';

/** The source that a person means. @throws TacitError data/not-found, data/unreadable */
export function dataArgument(text: string, labelColumn?: string): Promise<SourceSpec> {
  const [name = '', split] = text.split(':');
  const options = labelColumn === undefined ? {} : { labelColumn };
  const bundled = BUNDLED.some((known) => known === name);
  if (bundled && (split === 'train' || split === 'test')) return sourceSpecFromPath(name, { ...options, split });
  return sourceSpecFromPath(text, options);
}

/** The test images that belong to a source, if it is a bundled one's training images. */
export const testSplitOf = (spec: SourceSpec): SourceSpec | undefined =>
  spec.kind === 'bundled' && spec.split === 'train' ? { ...spec, split: 'test' } : undefined;
