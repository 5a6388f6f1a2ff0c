/** Turns rasters into examples of a plan: decodes on request, fits, caches, and restricts to some of the indices. */
import { TacitError } from '../../protocol/errors.ts';
import { float32 } from '../../protocol/tensors.ts';
import { type ExampleCache, nextSourceId, sharedCache } from './cache.ts';
import { fitRaster, fitsExactly, writeUnit } from './fit.ts';
import { eachInFlight } from './in-flight.ts';
import type { Raster, RasterSource } from './raster.ts';
import type { DataContract, DataSource } from './source.ts';

/** @throws TacitError data/not-found */
export function checkIndex(index: number, { name, length }: { name: string; length: number }): void {
  if (Number.isInteger(index) && index >= 0 && index < length) return;
  throw new TacitError('data/not-found', `${name} holds ${length} examples; there is no example with index ${index}`);
}

/** The examples of `rasters` as the contract wants them. Values come back in [0, 1], one fresh array per read. */
export function fittedSource(
  rasters: RasterSource,
  contract: DataContract,
  cache: ExampleCache = sharedCache,
): DataSource {
  const id = nextSourceId();
  const [height, width, channels] = contract.shape;
  const size = height * width * channels;

  const prepare = (raster: Raster, index: number): Raster => {
    const fitted = fitRaster(raster, contract, rasters.nameOf(index));
    if (!(rasters.inMemory && fitsExactly(raster, contract.shape))) cache.put(id, index, fitted);
    return fitted;
  };

  async function read(indices: readonly number[] | Int32Array) {
    const data = new Float32Array(indices.length * size);
    const missing: number[] = [];
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i]!;
      checkIndex(index, rasters);
      const ready =
        cache.get(id, index) ?? (rasters.inMemory ? prepare(rasters.raster(index) as Raster, index) : undefined);
      if (ready) writeUnit(ready, data, i * size);
      else missing.push(i);
    }
    await eachInFlight(missing.length, async (m) => {
      const i = missing[m]!;
      const index = indices[i]!;
      writeUnit(prepare(await rasters.raster(index), index), data, i * size);
    });
    return { image: float32([indices.length, height, width, channels], data) };
  }

  return { length: rasters.length, ...groupsOf(rasters), read };
}

const fitted = new WeakMap<RasterSource, Map<string, DataSource>>();

/** What was fitted before is used again, so that its decoded examples are found in the cache. */
export function fittedOnce(rasters: RasterSource, contract: DataContract, cache: ExampleCache | undefined): DataSource {
  if (cache) return fittedSource(rasters, contract, cache);
  const known = fitted.get(rasters) ?? new Map<string, DataSource>();
  fitted.set(rasters, known);
  const key = `${contract.shape.join()} ${contract.resize}`;
  const source = known.get(key) ?? fittedSource(rasters, contract);
  known.set(key, source);
  return source;
}

const groupsOf = (source: Pick<DataSource, 'groups' | 'group'>): Pick<DataSource, 'groups' | 'group'> =>
  source.groups && source.group ? { groups: source.groups, group: source.group.bind(source) } : {};

/** The same source restricted to `indices`, in that order. @throws TacitError data/not-found for an index it lacks */
export function restricted(source: DataSource, indices: Int32Array | undefined, name: string): DataSource {
  if (!indices) return source;
  for (const index of indices) checkIndex(index, { name, length: source.length });
  const { group } = source;
  return {
    length: indices.length,
    ...groupsOf({
      ...(source.groups ? { groups: source.groups } : {}),
      ...(group ? { group: (i: number) => group.call(source, indices[i] ?? -1) } : {}),
    }),
    read: async (wanted) =>
      source.read(
        Int32Array.from(wanted, (i) => {
          checkIndex(i, { name, length: indices.length });
          return indices[i]!;
        }),
      ),
  };
}
