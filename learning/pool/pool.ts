/**
 * The training pool of a Node process: one for all its participants, as many workers as cores, one thread and one engine
 * each. The event loop that holds the sockets never trains.
 */
import { availableParallelism } from 'node:os';
import { openSource } from '../data/open.ts';
import type { EngineChoice } from '../engine/engine.ts';
import { localSlot } from './local-slot.ts';
import { createScheduler, type TrainingPool } from './scheduler.ts';
import { threadSlot } from './thread-slot.ts';

export interface PoolOptions {
  /** Worker threads; 0 runs the jobs on the calling thread. Default: as many as the machine has cores for this process. */
  readonly workers?: number;
  readonly engine?: EngineChoice;
  /** On Linux its workers give way to every other thread: they work in the time that is left. */
  readonly background?: boolean;
}

const open = new Set<TrainingPool>();

/** Starts the workers and their engines. @throws TacitError engine/unavailable */
export async function createPool(options: PoolOptions = {}): Promise<TrainingPool> {
  const { workers = availableParallelism(), engine = 'auto', background = false } = options;
  const slot = workers === 0 ? () => localSlot({ engine, openSource }) : () => threadSlot({ engine, background });
  const pool = await createScheduler(slot, Math.max(1, workers));
  const close = async (): Promise<void> => {
    await pool.close();
    open.delete(registered);
  };
  const registered: TrainingPool = {
    get engine() {
      return pool.engine;
    },
    get reason() {
      return pool.reason;
    },
    ...{ size: pool.size, run: pool.run, close },
  };
  open.add(registered);
  return registered;
}

/**
 * Closes every pool of this process. Every way out of it that can wait goes through here first; what cannot
 * (`process.exit` elsewhere) still waits for the steps that are being run, but frees nothing.
 */
export async function closeAllPools(): Promise<void> {
  await Promise.all([...open].map((pool) => pool.close()));
}
