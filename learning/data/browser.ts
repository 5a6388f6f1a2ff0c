/**
 * Opens data sources in a browser or Web Worker: picked files, arrays, and bundled data fetched from the coordinator's page.
 * Nothing here or below needs Node.
 */
import { TacitError } from '../../protocol/errors.ts';
import { memorySource } from './array-source.ts';
import type { ExampleCache } from './cache.ts';
import { decodeImageInBrowser } from './decode-browser.ts';
import { filesSource } from './files.ts';
import { fittedOnce, restricted } from './fitted-source.ts';
import { type DataReport, type DataRequirements, type InspectOptions, inspect } from './inspect.ts';
import { bundledSource, parseManifest } from './manifest.ts';
import type { RasterSource } from './raster.ts';
import { createMemory } from './remember.ts';
import type { DataContract, DataSource, SourceSpec } from './source.ts';

export interface BrowserSourceOptions {
  /** Where the page's server has the package's data/ folder, ending in `/` (default: `/data/` of this origin). */
  readonly dataUrl?: string;
  /** Where decoded examples are kept; by default up to 256 MiB, shared by all sources of this page or worker. */
  readonly cache?: ExampleCache;
}

async function fetchBytes(url: URL): Promise<Uint8Array> {
  const failed = (reason: string): TacitError =>
    new TacitError('data/not-found', `${url.pathname} could not be fetched: ${reason}`, { where: url.pathname });
  const response = await fetch(url).catch((cause) => {
    throw failed(String(cause));
  });
  if (!response.ok) throw failed(`the server answered ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Some servers send .gz files with a Content-Encoding, and the browser has then unpacked them already. */
async function gunzipped(bytes: Uint8Array<ArrayBuffer>, where: string): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  const whole = await new Response(stream).arrayBuffer().catch((cause) => {
    throw new TacitError('data/unreadable', `${where} is truncated or damaged`, { where, cause });
  });
  return new Uint8Array(whole);
}

const remember = createMemory<RasterSource>();

function openBundled(spec: Extract<SourceSpec, { kind: 'bundled' }>, dataUrl: string): Promise<RasterSource> {
  const base = new URL(dataUrl, globalThis.location.origin);
  return remember(`${base} ${spec.name} ${spec.split}`, '', async () => {
    const manifest = parseManifest(await fetchBytes(new URL('manifest.json', base)), base.pathname);
    return bundledSource(spec.name, spec.split, manifest, async (file) =>
      gunzipped(new Uint8Array(await fetchBytes(new URL(file, base))), file),
    );
  });
}

/** The images of a source as they are. @throws TacitError data/not-found, data/unreadable */
export async function openRastersInBrowser(
  spec: SourceSpec,
  options: BrowserSourceOptions = {},
): Promise<RasterSource> {
  switch (spec.kind) {
    case 'bundled':
      return openBundled(spec, options.dataUrl ?? '/data/');
    case 'files':
      return filesSource(spec.files, decodeImageInBrowser);
    case 'memory':
      return memorySource(spec.image, spec.groups);
    default:
      throw new TacitError('data/unreadable', `a browser cannot open a data source of kind "${spec.kind}"`);
  }
}

/** The browser's `openSource`. @throws TacitError data/not-found, data/unreadable; reading may add data/wrong-shape */
export async function openSourceInBrowser(
  spec: SourceSpec,
  contract: DataContract,
  options: BrowserSourceOptions = {},
): Promise<DataSource> {
  const rasters = await openRastersInBrowser(spec, options);
  return restricted(fittedOnce(rasters, contract, options.cache), spec.indices, rasters.name);
}

/** The browser's `checkSource`. */
export async function checkSourceInBrowser(
  spec: SourceSpec,
  requirements: DataRequirements,
  options: InspectOptions & BrowserSourceOptions = {},
): Promise<DataReport> {
  const rasters = await openRastersInBrowser(spec, options);
  return inspect(rasters, requirements, { ...options, ...(spec.indices ? { indices: spec.indices } : {}) });
}
