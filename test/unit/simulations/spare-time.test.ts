import { expect, test } from 'vitest';
import type { TrainingPool } from '../../../learning/pool/scheduler.ts';
import { spareTimeOf } from '../../../simulations/spare-time.ts';

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
