/** Opens data sources in Node: `openSource` gives examples as a plan wants them, `openRasters` the images as they are. */
import { TacitError } from '../../protocol/errors.ts';
import { csvSource, idxSource, memorySource } from './array-source.ts';
import { loadBundled } from './bundled.ts';
import type { ExampleCache } from './cache.ts';
import { type CsvTable, parseCsv, rowShape } from './csv.ts';
import { decodeImage } from './decode.ts';
import { filesSource } from './files.ts';
import { fittedOnce, restricted } from './fitted-source.ts';
import { openFolder } from './folder.ts';
import type { RasterSource } from './raster.ts';
import { fileSignature, readDataFile, readText } from './read-file.ts';
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

const rememberTable = createMemory<CsvTable>();

type CsvSpec = Extract<SourceSpec, { kind: 'csv' }>;

async function openCsv(spec: CsvSpec, wanted: DataContract['shape'] | undefined): Promise<RasterSource> {
  const { path, labelColumn, header, maximum } = spec;
  const signature = await fileSignature(path);
  const key = JSON.stringify([path, labelColumn, header, maximum]);
  const table = await rememberTable(key, signature, () => parseCsv(readText(path), spec, path));
  const shape = rowShape(table.columns, wanted, path);
  return remember(JSON.stringify(['csv', key, shape]), signature, async () => csvSource(table, shape, path));
}

/**
 * The images of a source as they are; neither a plan's size nor the spec's `indices` are applied.
 * @param wanted the plan's shape: says what a row of a CSV file is
 * @throws TacitError data/not-found, data/unreadable, data/wrong-shape
 */
export async function openRasters(spec: SourceSpec, wanted?: DataContract['shape']): Promise<RasterSource> {
  switch (spec.kind) {
    case 'bundled':
      return loadBundled(spec.name, spec.split);
    case 'idx':
      return openIdx(spec);
    case 'csv':
      return openCsv(spec, wanted);
    case 'folder':
      return openFolder(spec.path);
    case 'files':
      return filesSource(spec.files, decodeImage);
    case 'memory':
      return memorySource(spec.image, spec.groups);
    default:
      throw unknownKind(spec);
  }
}

const unknownKind = (spec: never): TacitError =>
  new TacitError('data/unreadable', `there is no data source of kind "${(spec as { kind: unknown }).kind}"`);

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
  const rasters = await openRasters(spec, contract.shape);
  return restricted(fittedOnce(rasters, contract, options.cache), spec.indices, rasters.name);
}
