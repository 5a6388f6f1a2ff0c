/** From what a person types after `--data` to a description of the source. */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { TacitError } from '../../protocol/errors.ts';
import { isImageName } from './file-list.ts';
import { isIdx } from './idx.ts';
import { BUNDLED } from './manifest.ts';
import { isGzip } from './read-file.ts';
import type { BundledName, SourceSpec } from './source.ts';

export interface LocateOptions {
  /** Which part of a data set that comes in two (default train). */
  readonly split?: 'train' | 'test';
  /** For CSV files. */
  readonly labelColumn?: string;
  readonly maximum?: number;
}

const IDX_IMAGES = /idx3-ubyte(\.gz)?$|\.idx3?(\.gz)?$/i;
const CSV = /\.(csv|tsv)(\.gz)?$/i;

const isBundled = (name: string): name is BundledName => (BUNDLED as readonly string[]).includes(name);

const HINT = `give a folder of PNG or JPEG files, an IDX or CSV file (.gz or not), or one of ${BUNDLED.join(', ')}`;

/** The labels that lie beside an IDX file of images, by the naming of MNIST. */
async function labelsBeside(images: string): Promise<string | undefined> {
  const name = basename(images).replace('images', 'labels').replace('idx3', 'idx1');
  if (name === basename(images)) return undefined;
  const others = name.endsWith('.gz') ? [name, name.slice(0, -3)] : [name, `${name}.gz`];
  for (const other of others) {
    const path = join(dirname(images), other);
    if (await stat(path).catch(() => undefined)) return path;
  }
  return undefined;
}

async function idxSpec(images: string): Promise<SourceSpec> {
  const labels = await labelsBeside(images);
  return { kind: 'idx', images, ...(labels === undefined ? {} : { labels }) };
}

/** A folder of IDX files is that data set, any other a folder of images. */
async function folderSpec(path: string, split: 'train' | 'test'): Promise<SourceSpec> {
  const idx = (await readdir(path)).filter((name) => name.includes('images') && IDX_IMAGES.test(name)).sort();
  const wanted = split === 'train' ? /^train/ : /^(t10k|test)/;
  const found = idx.find((name) => wanted.test(name)) ?? idx.find((name) => !/^(train|t10k|test)/.test(name));
  return found === undefined ? { kind: 'folder', path } : idxSpec(join(path, found));
}

async function startOf(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read({ buffer: new Uint8Array(4), position: 0 });
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/**
 * The source behind a path, by its kind and name: a bundled set, a folder, a CSV or an IDX file. Nothing is read yet.
 * @throws TacitError data/not-found, data/unreadable
 */
export async function sourceSpecFromPath(path: string, options: LocateOptions = {}): Promise<SourceSpec> {
  const { split = 'train', ...csv } = options;
  if (isBundled(path)) return { kind: 'bundled', name: path, split };
  const found = await stat(path).catch((cause) => {
    throw new TacitError('data/not-found', `there is no data at ${path}`, { where: path, hint: HINT, cause });
  });
  if (found.isDirectory()) return folderSpec(path, split);
  if (CSV.test(path)) return { kind: 'csv', path, ...csv };
  const start = await startOf(path);
  if (isIdx(start) || (isGzip(start) && IDX_IMAGES.test(path))) return idxSpec(path);
  const single = isImageName(path) ? 'is a single image' : 'is of a kind that is not known';
  throw new TacitError('data/unreadable', `${path} ${single}`, { where: path, hint: HINT });
}
