/** Views to look at, and maps of features. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { features } from '../../../../learning/evaluation/features.ts';
import { createPool } from '../../../../learning/pool/pool.ts';
import type { TrainingPool } from '../../../../learning/pool/scheduler.ts';
import { blobs } from '../evaluation/blobs.ts';
import { tinyImages, tinyPlan } from './tiny.ts';

let pool: TrainingPool;
beforeAll(async () => {
  pool = await createPool({ workers: 0, engine: 'eager:cpu' });
});
afterAll(() => pool.close());

const indices = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => n - 1 - i);

describe('views', () => {
  const run = (augmentation: object, count = 6, seed = 1) =>
    pool.run('views', {
      plan: tinyPlan({ augmentation: { name: 'image', ...augmentation } }),
      source: tinyImages(100),
      indices: indices(count),
      views: 2,
      seed,
    });

  it('are the examples themselves, in the order asked for, when nothing is augmented', async () => {
    const source = tinyImages(100);
    const { originals, views } = await run({ crop: [1, 1] }, 70);
    expect(originals.shape).toEqual([70, 4, 4, 1]);
    for (const i of [0, 63, 64, 69]) {
      const wanted = source.image.data.subarray((69 - i) * 16, (70 - i) * 16);
      expect(originals.data.subarray(i * 16, (i + 1) * 16)).toEqual(wanted);
      for (const view of views) {
        view.data.subarray(i * 16, (i + 1) * 16).forEach((v, k) => {
          expect(v).toBeCloseTo(wanted[k]!, 5);
        });
      }
    }
  });

  it('differ from each other and from the original, and are the same for the same seed', async () => {
    const { originals, views } = await run({ brightness: 0.4, crop: [0.5, 1] });
    expect(views).toHaveLength(2);
    expect(views[0]!.data).not.toEqual(originals.data);
    expect(views[0]!.data).not.toEqual(views[1]!.data);
    expect((await run({ brightness: 0.4, crop: [0.5, 1] })).views).toEqual(views);
    expect((await run({ brightness: 0.4, crop: [0.5, 1] }, 6, 2)).views).not.toEqual(views);
  });

  it('an index that the source lacks is refused', async () => {
    const plan = tinyPlan();
    const input = { plan, source: tinyImages(3), indices: Int32Array.of(3), views: 1, seed: 1 };
    await expect(pool.run('views', input)).rejects.toMatchObject({ code: 'data/not-found' });
  });
});

describe('an embedding map', () => {
  const { features: table, labels } = blobs(1, 60, 8, 3, 6);

  it('keeps together what lies together, within the square, and is the same for the same seed', async () => {
    const map = await pool.run('embedding-map', { features: table, seed: 1 });
    expect(map).toHaveLength(120);
    expect([Math.min(...map), Math.max(...map)]).toEqual([-1, 1]);
    const distance = (i: number, j: number): number =>
      Math.hypot(map[2 * i]! - map[2 * j]!, map[2 * i + 1]! - map[2 * j + 1]!);
    const rows = Array.from({ length: 60 }, (_, i) => i);
    const together = rows.filter((i) => {
      const nearest = rows.filter((j) => j !== i).reduce((a, b) => (distance(i, a) < distance(i, b) ? a : b));
      return labels[nearest] === labels[i];
    });
    expect(together.length).toBeGreaterThan(57);
    expect(await pool.run('embedding-map', { features: table, seed: 1 })).toEqual(map);
    expect(await pool.run('embedding-map', { features: table, seed: 2 })).not.toEqual(map);
  });

  it('of too few rows is refused', async () => {
    const few = features(3, 2, Float64Array.from([1, 0, 0, 1, 1, 1]));
    await expect(pool.run('embedding-map', { features: few, seed: 1 })).rejects.toThrow(/at least 4 rows/);
  });
});
