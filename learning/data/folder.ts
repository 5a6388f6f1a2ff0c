/**
 * A folder of PNG and JPEG files, decoded one by one on request. Only names are held; links are followed, loops are not.
 * Opening the same folder again gives the same source while none of its folders has changed (files rewritten in place are
 * not noticed within a process).
 */
import type { Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TacitError } from '../../protocol/errors.ts';
import { decodeImage } from './decode.ts';
import { buildFileList, type FileList, isHidden } from './file-list.ts';
import { MAX_FILE_BYTES } from './image-header.ts';
import { naturalCompare } from './natural-order.ts';
import type { Raster, RasterSource } from './raster.ts';
import { fileError } from './read-file.ts';

interface Listing {
  readonly files: FileList;
  /** Every folder that was read, for noticing changes. */
  readonly directories: readonly string[];
}

type Kind = 'file' | 'directory' | 'other';

async function kindOf(entry: Dirent, path: string): Promise<Kind> {
  const target = entry.isSymbolicLink() ? await stat(path).catch(() => undefined) : entry;
  return target?.isDirectory() ? 'directory' : target?.isFile() ? 'file' : 'other';
}

async function list(root: string): Promise<Listing> {
  const builder = buildFileList();
  const directories: string[] = [];
  const visited = new Set<string>();

  async function walk(below: string): Promise<void> {
    const path = below === '' ? root : join(root, below);
    const { dev, ino } = await stat(path);
    if (visited.has(`${dev}:${ino}`)) return;
    visited.add(`${dev}:${ino}`);
    directories.push(path);
    const entries = (await readdir(path, { withFileTypes: true })).filter((entry) => !isHidden(entry.name));
    for (const entry of entries.sort((a, b) => naturalCompare(a.name, b.name))) {
      const inner = below === '' ? entry.name : `${below}/${entry.name}`;
      const kind = await kindOf(entry, join(root, inner));
      if (kind === 'directory') await walk(inner);
      else if (kind === 'file') builder.add(below, entry.name);
    }
  }

  await walk('').catch((thrown) => {
    throw fileError(thrown, root);
  });
  return { files: builder.finish(), directories };
}

async function signatureOf(directories: readonly string[]): Promise<string> {
  const times = await Promise.all(
    directories.map((path) =>
      stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => 'gone',
      ),
    ),
  );
  return times.join();
}

async function readImage(path: string): Promise<Raster> {
  const bytes = await (async () => {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) {
      throw new TacitError('data/unreadable', `${path} is too large: ${size.toLocaleString('en')} bytes`, {
        where: path,
      });
    }
    return readFile(path);
  })().catch((thrown) => {
    throw thrown instanceof TacitError ? thrown : fileError(thrown, path);
  });
  return decodeImage(bytes, path);
}

interface Opened {
  readonly directories: readonly string[];
  readonly signature: string;
  readonly source: RasterSource;
}

const KEPT = 8;
const opened = new Map<string, Opened>();

/** @throws TacitError data/not-found, data/unreadable */
export async function openFolder(path: string): Promise<RasterSource> {
  const known = opened.get(path);
  if (known && (await signatureOf(known.directories)) === known.signature) return known.source;
  const { files, directories } = await list(path);
  const signature = await signatureOf(directories);
  const pathOf = (index: number): string => join(path, files.pathOf(index));
  const source: RasterSource = {
    length: files.length,
    name: path,
    inMemory: false,
    ...(files.groups && files.group ? { groups: files.groups, group: files.group } : {}),
    nameOf: pathOf,
    raster: (index) => readImage(pathOf(index)),
    skipped: files.skipped,
  };
  opened.delete(path);
  opened.set(path, { directories, signature, source });
  for (const oldest of opened.keys()) if (opened.size > KEPT) opened.delete(oldest);
  return source;
}
