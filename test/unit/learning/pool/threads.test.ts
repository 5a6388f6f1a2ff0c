import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeAllPools, createPool } from '../../../../learning/pool/pool.ts';
import { createScheduler, type Slot, type TrainingPool } from '../../../../learning/pool/scheduler.ts';
import { threadSlot } from '../../../../learning/pool/thread-slot.ts';
import { ensureBuilt } from './built.ts';
import { globalModel, tinyImages, tinyPlan, trainInput } from './tiny.ts';

const fixture = (name: string): URL => new URL(`./fixtures/${name}`, import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'tacit-pool-'));
const plan = tinyPlan();
let pool: TrainingPool;

beforeAll(async () => {
  ensureBuilt();
  pool = await createPool({ workers: 2, engine: 'eager:cpu' });
});
afterAll(async () => {
  await closeAllPools();
  rmSync(folder, { recursive: true });
});

/** Far more steps than any test waits for. */
const endless = { plan, source: tinyImages(20), steps: 1e8, seed: 1 };

describe('a pool of threads', () => {
  it('gives the same bits as the calling thread, whichever worker ran the job, and detaches no input', async () => {
    const local = await createPool({ workers: 0, engine: 'eager:cpu' });
    const expected = await local.run('train', trainInput(plan));
    await local.close();
    const input = trainInput(plan); // one model for all, as for participants of one process
    const copy = structuredClone(input);
    const outputs = await Promise.all(Array.from({ length: 6 }, () => pool.run('train', input)));
    for (const output of outputs) expect(output).toEqual(expected);
    expect(input).toEqual(copy);
    expect(pool.engine).toBe('eager:cpu');
    expect(pool.size).toBe(2);
  });

  it('carries coded errors over', async () => {
    await expect(pool.run('train', trainInput(plan, { source: tinyImages(2) }))).rejects.toMatchObject({
      name: 'TacitError',
      code: 'data/too-few-examples',
    });
    const missing = { kind: 'folder' as const, path: join(folder, 'nothing here') };
    await expect(pool.run('embed', { plan, source: missing })).rejects.toMatchObject({ exitStatus: 3 });
  });

  it('stops a job between two steps when it is aborted, and goes on with the next', async () => {
    const controller = new AbortController();
    const job = pool.run('central', endless, { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(job).rejects.toMatchObject({ code: 'train/cancelled' });
    const { rows } = await pool.run('embed', { plan, model: globalModel(plan), source: tinyImages(7) });
    expect(rows).toBe(7);
  });

  it('closes while every worker trains', async () => {
    const busy = await createPool({ workers: 2, engine: 'eager:cpu' });
    let started = (): void => {};
    const training = new Promise<void>((resolve) => {
      started = resolve;
    });
    const jobs = Array.from({ length: 5 }, () => busy.run('central', endless, { onProgress: () => started() }));
    const ends = Promise.allSettled(jobs);
    await training;
    await busy.close();
    for (const end of await ends) expect(end).toMatchObject({ reason: { code: 'train/cancelled' } });
  });

  it('says what is wrong with an engine that cannot run', async () => {
    await expect(createPool({ workers: 2, engine: 'eager:nonsense' })).rejects.toMatchObject({
      code: 'engine/unavailable',
    });
  });
});

describe('a worker that misbehaves', () => {
  const open = (): Promise<Slot> => threadSlot({ engine: 'auto', script: fixture('odd-worker.mjs') });
  const oddPool = async (size: number) => {
    const odd = await createScheduler(open, size);
    const run = odd.run as unknown as (
      name: string,
      input?: unknown,
      options?: Parameters<TrainingPool['run']>[2],
    ) => Promise<unknown>;
    return { odd, run };
  };

  it('says so when another engine has taken over', async () => {
    const { odd, run } = await oddPool(1);
    expect([odd.engine, odd.reason]).toEqual(['odd', 'test']);
    await run('change');
    expect([odd.engine, odd.reason]).toEqual(['spare', 'the other one failed']);
    await odd.close();
  });

  it('fails its own job only, and is replaced', async () => {
    const { odd, run } = await oddPool(1);
    const before = await run('id');
    for (const how of ['exit', 'throw']) {
      const crashed = run(how);
      const next = run('id');
      await expect(crashed).rejects.toMatchObject({ code: 'train/failed' });
      expect(await next).not.toBe(before);
    }
    await odd.close();
  });

  it('is never ended inside its engine: closing waits for the step', async () => {
    const { odd, run } = await oddPool(1);
    const file = join(folder, 'close');
    const job = run('steps', { file, ms: 150 }, { onProgress: () => odd.close() });
    await expect(job).rejects.toMatchObject({ code: 'train/cancelled' });
    await odd.close();
    expect(readFileSync(file, 'utf8')).toBe('step ');
  });

  it('is ended when it does not listen and is not in its engine', async () => {
    const { odd, run } = await oddPool(1);
    const job = run('deaf', undefined, { onProgress: () => odd.close() });
    await expect(job).rejects.toMatchObject({ code: 'train/cancelled' });
    await odd.close();
  });

  it('process.exit waits for the step that is being run', () => {
    const file = join(folder, 'exit');
    const child = spawnSync(process.execPath, [fileURLToPath(fixture('leave-while-training.mjs')), file], {
      encoding: 'utf8',
    });
    expect([child.status, child.signal, child.stderr]).toEqual([9, null, '']);
    expect(readFileSync(file, 'utf8')).toBe('step ');
  });
});

describe('memory', () => {
  it('stays bounded over many jobs', async () => {
    const wide = tinyPlan({ encoder: { name: 'mlp', hidden: [600, 600], dim: 64 } }, { steps: 1 });
    const one = await createPool({ workers: 1, engine: 'eager:wasm' });
    const input = trainInput(wide);
    const bytes = Object.values(input.model).reduce((n, { data }) => n + data.byteLength, 0);
    const many = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await one.run('train', input);
    };
    await many(15);
    const before = process.memoryUsage().rss;
    await many(40);
    const grown = process.memoryUsage().rss - before;
    await one.close();
    expect(grown, `models of ${bytes} bytes`).toBeLessThan(40 * bytes); // less than one model kept for each job
  }, 60_000);
});
