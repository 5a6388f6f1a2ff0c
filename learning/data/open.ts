/** Opens data sources in Node: `openSource` gives examples as a plan wants them, `openRasters` the images as they are. */
import { TacitError } from '../../protocol/errors.ts';
import { idxSource, memorySource } from './array-source.ts';
import { loadBundled } from './bundled.ts';
import type { ExampleCache } from './cache.ts';
import { fittedSource, restricted } from './fitted-source.ts';
import type { RasterSource } from './raster.ts';
import { fileSignature, readDataFile } from './read-file.ts';
import { createMemory } from './remember.ts';
import type { DataContract, DataSource, SourceSpec } from './source.ts';

const remember = createMemory<RasterSource>();

async function openIdx({ images, labels }: Extract<SourceSpec, { kind: 'idx' }>): Promise<RasterSource> {
  const files = labels === undefined ? [images] : [images, labels];
  const signature = (await Promise.all(files.map(fileSignature))).join();
  return remember(JSON.stringify(['idx', ...files]), signature, async () =>
    idxSource({
      name: images,
      images: await readDataFile(images),
      imagesName: images,
      ...(labels === undefined ? {} : { labels: await readDataFile(labels), labelsName: labels }),
    }),
  );
}

/**
 * The images of a source as they are, before a plan's shape is applied; `indices` of the spec are not.
 * @throws TacitError data/not-found, data/unreadable
 */
export async function openRasters(spec: SourceSpec): Promise<RasterSource> {
  switch (spec.kind) {
    case 'bundled':
      return loadBundled(spec.name, spec.split);
    case 'idx':
      return openIdx(spec);
    case 'memory':
      return memorySource(spec.image, spec.groups);
    default:
      throw new TacitError('data/unreadable', `data sources of kind ${spec.kind} cannot be opened here`);
  }
}

const fitted = new WeakMap<RasterSource, Map<string, DataSource>>();

/** What was fitted before is used again, so that its decoded examples are found in the cache. */
function fittedOnce(rasters: RasterSource, contract: DataContract, cache: ExampleCache | undefined): DataSource {
  if (cache) return fittedSource(rasters, contract, cache);
  const known = fitted.get(rasters) ?? new Map<string, DataSource>();
  fitted.set(rasters, known);
  const key = `${contract.shape.join()} ${contract.resize}`;
  const source = known.get(key) ?? fittedSource(rasters, contract);
  known.set(key, source);
  return source;
}

/**
 * Opens a source for training or evaluation. Opening the same one again in this process is cheap.
 * @param options.cache where decoded examples are kept; by default up to 256 MiB, shared by all sources of the process
 * @throws TacitError data/not-found, data/unreadable; reading may add data/wrong-shape
 */
export async function openSource(
  spec: SourceSpec,
  contract: DataContract,
  options: { readonly cache?: ExampleCache } = {},
): Promise<DataSource> {
  const rasters = await openRasters(spec);
  return restricted(fittedOnce(rasters, contract, options.cache), spec.indices, rasters.name);
}

/** @throws TacitError data/too-few-examples */
export function requireExamples(source: Pick<DataSource, 'length'>, minExamples: number): void {
  if (source.length >= minExamples) return;
  throw new TacitError(
    'data/too-few-examples',
    `the data source holds ${source.length} examples, the plan requires at least ${minExamples}`,
  );
}
