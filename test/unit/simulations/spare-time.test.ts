import { expect, test } from 'vitest';
import type { PoolOptions } from '../../../learning/pool/pool.ts';
import type { TrainingPool } from '../../../learning/pool/scheduler.ts';
import { TacitError } from '../../../protocol/errors.ts';
import { openPools, spareTimeOf } from '../../../simulations/spare-time.ts';

/** A pool that notes which jobs reach it, and ends one when it is told to. */
function notingPool() {
  const jobs: string[] = [];
  const ends: (() => void)[] = [];
  const run = ((name: string) => {
    jobs.push(name);
    return new Promise<unknown>((resolve) => ends.push(() => resolve(name)));
  }) as unknown as TrainingPool['run'];
  return { pool: { engine: 'none', reason: '', size: 1, run, close: async () => {} }, jobs, ends };
}

const NO_FEATURES = { rows: 0, columns: 0, data: new Float32Array(0) };

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('jobs run aside one after another; what has not begun when that time is over, and all that come later, run on the pool', async () => {
  const main = notingPool();
  const aside = notingPool();
  const { pool, over } = spareTimeOf(main.pool, aside.pool);
  const ask = (name: string): Promise<unknown> => (pool.run as unknown as (name: string) => Promise<unknown>)(name);
  const answers = ['a', 'b', 'c', 'd'].map(ask);
  expect(aside.jobs).toEqual(['a']);
  aside.ends[0]!();
  await settled();
  expect([aside.jobs, main.jobs]).toEqual([['a', 'b'], []]);
  over();
  expect(main.jobs).toEqual(['c', 'd']);
  answers.push(ask('e'));
  aside.ends[1]!();
  await settled();
  expect([aside.jobs, main.jobs]).toEqual([
    ['a', 'b'],
    ['c', 'd', 'e'],
  ]);
  for (const end of main.ends) end();
  expect(await Promise.all(answers)).toEqual(['a', 'b', 'c', 'd', 'e']);
});

/** Makes pools of which the one named by `broken` cannot be opened, and notes what becomes of the others. */
function opening(broken?: 'main' | 'aside') {
  const log: string[] = [];
  const jobs: string[] = [];
  const create = async ({ background }: PoolOptions = {}): Promise<TrainingPool> => {
    const name = background ? 'aside' : 'main';
    log.push(`${name} begins`);
    await settled();
    if (name === broken) throw new TacitError('engine/unavailable', `no ${name}`);
    const run = (async (job: string) => void jobs.push(`${job} on ${name}`)) as unknown as TrainingPool['run'];
    return { ...notingPool().pool, run, close: async () => void log.push(`${name} closed`) };
  };
  return { log, jobs, create };
}

test.runIf(process.platform === 'linux')('both pools are opened at the same time, and closed together', async () => {
  const { log, create } = opening();
  const { close } = await openPools({}, create);
  expect(log.sort()).toEqual(['aside begins', 'main begins']);
  await close();
  expect(log.slice(2).sort()).toEqual(['aside closed', 'main closed']);
});

test.runIf(process.platform === 'linux').each([
  ['main', 'aside'],
  ['aside', 'main'],
] as const)('when the pool %s cannot be opened, %s is closed', async (broken, other) => {
  const { log, create } = opening(broken);
  await expect(openPools({}, create)).rejects.toThrow(`no ${broken}`);
  expect(log.slice(2)).toEqual([`${other} closed`]);
});

test('with a number of workers given, all jobs run on them', async () => {
  const { log, jobs, create } = opening();
  const { spare } = await openPools({ workers: 2 }, create);
  await spare.pool.run('embedding-map', { features: NO_FEATURES, seed: 1 });
  expect([log, jobs]).toEqual([['main begins'], ['embedding-map on main']]);
});
