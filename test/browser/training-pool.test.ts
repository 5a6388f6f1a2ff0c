import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBrowserPool } from '../../learning/pool/browser-pool.ts';
import type { TrainingPool } from '../../learning/pool/scheduler.ts';
import { tinyImages, tinyPlan, trainInput } from '../unit/learning/pool/tiny.ts';

const plan = tinyPlan();
let pool: TrainingPool;
beforeAll(async () => {
  pool = await createBrowserPool({ engine: 'eager:cpu' });
});
afterAll(() => pool.close());

describe('the training pool in a Web Worker', () => {
  it('trains, the same each time, and leaves the model with its owner', async () => {
    const input = trainInput(plan);
    const first = await pool.run('train', input);
    expect(await pool.run('train', input)).toEqual(first);
    expect(first.delta.some((v) => v !== 0)).toBe(true);
    expect(input.model['encoder/dense0/kernel']!.data.length).toBe(128);
  });

  it('reports coded errors', async () => {
    await expect(pool.run('train', trainInput(plan, { source: tinyImages(2) }))).rejects.toMatchObject({
      code: 'data/too-few-examples',
    });
  });

  it('stops a job between two steps, without shared memory too, and goes on', async () => {
    const controller = new AbortController();
    const endless = { plan, source: tinyImages(20), steps: 1e8, seed: 1 };
    const job = pool.run('central', endless, { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(job).rejects.toMatchObject({ code: 'train/cancelled' });
    expect((await pool.run('embed', { plan, source: tinyImages(3) })).rows).toBe(3);
  });

  it('closes while it trains', async () => {
    const busy = await createBrowserPool({ engine: 'eager:cpu' });
    const endless = { plan, source: tinyImages(20), steps: 1e8, seed: 1 };
    const job = busy.run('central', endless, { onProgress: () => void busy.close() });
    await expect(job).rejects.toMatchObject({ code: 'train/cancelled' });
  });

  it('says what is wrong with an engine that cannot run', async () => {
    await expect(createBrowserPool({ engine: 'eager:nonsense' })).rejects.toMatchObject({
      code: 'engine/unavailable',
    });
  });
});
