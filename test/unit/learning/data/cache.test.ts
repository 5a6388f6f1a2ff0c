import { describe, expect, it } from 'vitest';
import { createExampleCache } from '../../../../learning/data/cache.ts';
import { fittedSource } from '../../../../learning/data/fitted-source.ts';
import type { Raster, RasterSource } from '../../../../learning/data/raster.ts';
import { permutation, stream } from '../../../../protocol/random.ts';

const raster = (bytes: number, value = 0): Raster => ({
  width: bytes,
  height: 1,
  channels: 1,
  maximum: 255,
  data: new Uint8Array(bytes).fill(value),
});

describe('the example cache', () => {
  it('stays within its bytes and gives back what was put', () => {
    const cache = createExampleCache(10_000);
    const rng = stream(1, 'cache');
    for (let i = 0; i < 500; i++) {
      const index = rng.below(60);
      const held = cache.get(0, index);
      if (held) expect(held.data[0]).toBe(index);
      else cache.put(0, index, raster(100 + rng.below(900), index));
      expect(cache.bytes).toBeLessThanOrEqual(10_000);
    }
  });

  it('keeps sources apart and refuses what is larger than itself', () => {
    const cache = createExampleCache(5000);
    cache.put(1, 7, raster(10, 1));
    cache.put(2, 7, raster(10, 2));
    cache.put(3, 0, raster(6000));
    expect(cache.get(1, 7)?.data[0]).toBe(1);
    expect(cache.get(2, 7)?.data[0]).toBe(2);
    expect(cache.get(3, 0)).toBeUndefined();
  });

  it('half the memory saves a third of the decoding or more, epoch after epoch', async () => {
    let decoded = 0;
    const count = 100;
    const rasters: RasterSource = {
      length: count,
      name: 'x',
      inMemory: false,
      nameOf: String,
      raster: async (index) => {
        decoded++;
        return raster(1000, index);
      },
    };
    const cache = createExampleCache((count / 2) * 1200);
    const source = fittedSource(rasters, { shape: [1, 1000, 1], resize: 'error' }, cache);
    const epochs = 20;
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = permutation(stream(epoch, 'epoch'), count);
      const { image } = await source.read(order);
      order.forEach((index, i) => {
        expect(image.data[i * 1000]).toBe(Math.fround(index / 255));
      });
    }
    expect(decoded).toBeLessThan((epochs * count * 2) / 3);
    expect(decoded).toBeGreaterThan((epochs * count) / 3);
  });
});

describe('reading', () => {
  it('stops decoding after a failure', async () => {
    let started = 0;
    const rasters: RasterSource = {
      length: 100,
      name: 'x',
      inMemory: false,
      nameOf: String,
      raster: async (index) => {
        started++;
        if (index === 5) throw new Error('broken');
        return raster(1);
      },
    };
    const source = fittedSource(rasters, { shape: [1, 1, 1], resize: 'error' }, createExampleCache(0));
    await expect(source.read(Array.from({ length: 100 }, (_, i) => i))).rejects.toThrow('broken');
    expect(started).toBeLessThan(15);
  });
});
