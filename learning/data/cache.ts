/**
 * Decoded and fitted examples kept in memory up to a number of bytes, shared by all sources of a process.
 * Training reads every example once per epoch in a new order; there, evicting at random keeps a share of the hits that is
 * proportional to the memory, while evicting the least recently used would keep almost none.
 */
import type { Raster } from './raster.ts';

export interface ExampleCache {
  /** @param source a number from `nextSourceId` */
  get(source: number, index: number): Raster | undefined;
  put(source: number, index: number, raster: Raster): void;
  /** Bytes of pixels held. */
  readonly bytes: number;
}

/** What an entry costs besides its pixels. */
const OVERHEAD_BYTES = 200;

let sources = 0;
/** A number that no other source of this process has. */
export const nextSourceId = (): number => sources++;

export function createExampleCache(maxBytes: number): ExampleCache {
  const entries = new Map<number, { raster: Raster; slot: number }>();
  const slots: number[] = [];
  let bytes = 0;
  let state = 1;
  const keyOf = (source: number, index: number): number => source * 2 ** 31 + index;
  const costOf = (raster: Raster): number => raster.data.byteLength + OVERHEAD_BYTES;

  function evictOne(): void {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const slot = Math.floor((state / 2 ** 32) * slots.length);
    const key = slots[slot]!;
    const last = slots.pop()!;
    if (last !== key) {
      slots[slot] = last;
      entries.get(last)!.slot = slot;
    }
    bytes -= costOf(entries.get(key)!.raster);
    entries.delete(key);
  }

  return {
    get: (source, index) => entries.get(keyOf(source, index))?.raster,
    put(source, index, raster) {
      const key = keyOf(source, index);
      const cost = costOf(raster);
      if (cost > maxBytes || entries.has(key)) return;
      while (bytes + cost > maxBytes) evictOne();
      entries.set(key, { raster, slot: slots.length });
      slots.push(key);
      bytes += cost;
    },
    get bytes() {
      return bytes;
    },
  };
}

/** The cache that sources use unless they are given another. */
export const sharedCache: ExampleCache = createExampleCache(256 * 1024 * 1024);
