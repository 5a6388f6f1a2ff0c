/** The list of bundled data sets, data/manifest.json: where each lies, what it holds and the hashes of its bytes. */
import { TacitError } from '../../protocol/errors.ts';
import { idxSource } from './array-source.ts';
import type { RasterSource } from './raster.ts';
import type { BundledName } from './source.ts';

interface BundledFile {
  /** Path below data/. */
  readonly file: string;
  /** Length and SHA-256 of the uncompressed bytes. */
  readonly bytes: number;
  readonly sha256: string;
}

interface BundledSplit {
  readonly examples: number;
  readonly images: BundledFile;
  readonly labels: BundledFile;
}

export interface BundledEntry {
  readonly title: string;
  readonly licence: string;
  readonly source: string;
  readonly shape: readonly [number, number, number];
  /** Value of full intensity. */
  readonly maximum: number;
  readonly classes: readonly string[];
  readonly splits: Readonly<Record<'train' | 'test', BundledSplit>>;
}

export type BundledManifest = Readonly<Record<BundledName, BundledEntry>>;

export const BUNDLED = ['digits', 'fashion-mnist'] as const satisfies readonly BundledName[];

/** @throws TacitError data/unreadable if the bytes are no such list */
export function parseManifest(bytes: Uint8Array, where: string): BundledManifest {
  try {
    const manifest: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (manifest && BUNDLED.every((name) => Object.hasOwn(manifest, name))) return manifest as BundledManifest;
  } catch (cause) {
    throw new TacitError('data/unreadable', `the list of bundled data at ${where} is damaged`, { where, cause });
  }
  throw new TacitError('data/unreadable', `the list of bundled data at ${where} is incomplete`, { where });
}

/** How bytes below data/ are had: from the package's folder, or from the coordinator's page. */
export type ReadBundledFile = (file: string) => Promise<Uint8Array>;

/** @throws TacitError data/not-found for an unknown name, data/unreadable */
export async function bundledSource(
  name: BundledName,
  split: 'train' | 'test',
  manifest: BundledManifest,
  read: ReadBundledFile,
): Promise<RasterSource> {
  const entry = Object.hasOwn(manifest, name) ? manifest[name] : undefined;
  const files = entry?.splits[split];
  if (!entry || !files) {
    throw new TacitError('data/not-found', `there is no bundled data "${name}" (${split})`, {
      hint: `bundled: ${BUNDLED.join(', ')}; each with train and test`,
    });
  }
  const [images, labels] = await Promise.all([read(files.images.file), read(files.labels.file)]);
  return idxSource({
    name: `${name} (${split})`,
    images,
    imagesName: files.images.file,
    labels,
    labelsName: files.labels.file,
    maximum: entry.maximum,
    groups: entry.classes,
  });
}
