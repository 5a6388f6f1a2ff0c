/** The data sets that come with the package (data/), in Node. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { TacitError } from '../../protocol/errors.ts';
import { type BundledManifest, bundledSource, parseManifest } from './manifest.ts';
import type { RasterSource } from './raster.ts';
import { readDataFile } from './read-file.ts';
import { createMemory } from './remember.ts';
import type { BundledName } from './source.ts';

/** The package's data folder; a coordinator serves it to its join page as `/data/`. */
export const bundledFolder = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../data/' : '../../../data/', import.meta.url),
);

/** @throws TacitError data/not-found when the package lies incomplete on the disk */
export async function readManifest(): Promise<BundledManifest> {
  const path = `${bundledFolder}manifest.json`;
  const bytes = await readFile(path).catch((cause) => {
    throw new TacitError('data/not-found', `the bundled data is missing: ${path}`, { where: path, cause });
  });
  return parseManifest(bytes, path);
}

const remember = createMemory<RasterSource>();

/** One split of a bundled data set with its labels as groups; held once per process. @throws TacitError data/not-found */
export const loadBundled = (name: BundledName, split: 'train' | 'test'): Promise<RasterSource> =>
  remember(`${name}/${split}`, '', async () =>
    bundledSource(name, split, await readManifest(), (file) => readDataFile(`${bundledFolder}${file}`)),
  );
