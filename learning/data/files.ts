/** Images given as `File` objects: what a person picked in a browser (Node has the class as well). */
import { TacitError } from '../../protocol/errors.ts';
import { buildFileList, isHidden, isImageName } from './file-list.ts';
import { MAX_FILE_BYTES } from './image-header.ts';
import { comparePaths } from './natural-order.ts';
import type { Raster, RasterSource } from './raster.ts';

export type Decode = (bytes: Uint8Array, where: string) => Promise<Raster>;

/** Path below the folder that was picked; files picked one by one have only their name. */
function pathOf(file: File): string {
  const path = file.webkitRelativePath ?? '';
  return path === '' ? file.name : path.slice(path.indexOf('/') + 1);
}

const identityOf = (files: readonly File[]): string =>
  JSON.stringify(files.map((file) => [pathOf(file), file.size, file.lastModified]));

let latest: { readonly identity: string; readonly source: RasterSource } | undefined;

/**
 * The same order, groups and exclusions as for a folder. Picking the same files again (or receiving them again in a worker)
 * gives the same source, so that what was decoded is found again.
 */
export function filesSource(files: readonly File[], decode: Decode): RasterSource {
  const identity = identityOf(files);
  if (latest?.identity === identity) return latest.source;
  const images = files
    .map((file) => ({ file, path: pathOf(file) }))
    .filter(({ path }) => !path.split('/').some(isHidden))
    .sort((a, b) => comparePaths(a.path, b.path));
  const builder = buildFileList();
  for (const { path } of images) {
    const cut = path.lastIndexOf('/');
    builder.add(cut < 0 ? '' : path.slice(0, cut), path.slice(cut + 1));
  }
  const list = builder.finish();
  const listed = images.flatMap(({ file, path }) => (isImageName(path) ? [file] : []));
  const source: RasterSource = {
    length: list.length,
    name: 'the files picked',
    inMemory: false,
    ...(list.groups && list.group ? { groups: list.groups, group: list.group } : {}),
    nameOf: (index) => list.pathOf(index),
    raster: (index) => readImage(listed[index]!, list.pathOf(index), decode),
    skipped: list.skipped,
  };
  latest = { identity, source };
  return source;
}

async function readImage(file: File, where: string, decode: Decode): Promise<Raster> {
  if (file.size > MAX_FILE_BYTES) {
    throw new TacitError('data/unreadable', `${where} is too large: ${file.size.toLocaleString('en')} bytes`, {
      where,
    });
  }
  const bytes = await file.arrayBuffer().catch((cause) => {
    throw new TacitError('data/unreadable', `${where} can no longer be read; was it changed or moved?`, {
      where,
      cause,
    });
  });
  return decode(new Uint8Array(bytes), where);
}
