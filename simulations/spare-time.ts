/**
 * Rows that need nothing of the federation begin while it runs, on a worker that gives way to every other thread: between two reports
 * the processor has time to spare. What has not begun when that time is over goes to the pool itself.
 */
import { openTogether } from '../learning/pool/open-together.ts';
import { createPool, type PoolOptions } from '../learning/pool/pool.ts';
import type { TrainingPool } from '../learning/pool/scheduler.ts';

export interface SpareTime {
  /** Runs jobs in time to spare; once that is over, where all others run. */
  readonly pool: TrainingPool;
  /** From now on there is none. */
  over(): void;
  close(): Promise<void>;
}

/** Sends jobs one at a time to `aside` until `over`, and all that are left to `main`. */
export function spareTimeOf(main: TrainingPool, aside: Pick<TrainingPool, 'run' | 'close'>): SpareTime {
  const waiting: ((where: Pick<TrainingPool, 'run'>) => Promise<void>)[] = [];
  let busy = false;
  let ended = false;

  async function pump(): Promise<void> {
    if (busy || ended) return;
    busy = true;
    for (let next = waiting.shift(); next; next = ended ? undefined : waiting.shift()) await next(aside);
    busy = false;
  }

  const run: TrainingPool['run'] = (name, input, options) => {
    if (ended) return main.run(name, input, options);
    return new Promise((resolve, reject) => {
      waiting.push((where) => where.run(name, input, options).then(resolve, reject));
      void pump();
    });
  };

  return {
    pool: { ...main, run },
    over: () => {
      ended = true;
      for (const next of waiting.splice(0)) void next(main);
    },
    close: () => aside.close(),
  };
}

/** Where the jobs of a run go. */
export interface Pools {
  readonly pool: TrainingPool;
  readonly spare: SpareTime;
  close(): Promise<void>;
}

/** Nothing runs aside: every job goes to `main`. */
function noSpareTime(main: TrainingPool): SpareTime {
  const none = spareTimeOf(main, { run: main.run, close: async () => {} });
  none.over();
  return none;
}

/**
 * Opens the pool of a run and, where threads can be told to give way, a worker on its side; elsewhere there is no time to spare.
 * @throws TacitError engine/unavailable, with nothing left open
 */
export async function openPools(options: PoolOptions, create = createPool): Promise<Pools> {
  const sparing = process.platform === 'linux' && options.workers === undefined;
  const aside = sparing ? [create({ ...options, workers: 1, background: true })] : [];
  const [pool, background] = await openTogether([create(options), ...aside]);
  const spare = background ? spareTimeOf(pool!, background) : noSpareTime(pool!);
  const close = async (): Promise<void> => {
    spare.over();
    await Promise.all([spare.close(), pool!.close()]);
  };
  return { pool: pool!, spare, close };
}
