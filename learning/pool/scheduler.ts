/**
 * The queue of a training pool: first come, first served, one job at a time on each slot. A slot is a worker thread, a Web
 * Worker or this thread itself; one that breaks down fails its job and is replaced.
 */
import { TacitError } from '../../protocol/errors.ts';
import type { Progress } from './job.ts';
import type { JobInput, JobName, JobOutput } from './jobs.ts';
import { openTogether } from './open-together.ts';

export interface RunOptions {
  /** Aborting ends the job at its next step; the promise rejects once it has ended. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface TrainingPool {
  /** Name of the engine that the workers run, as shown to people; changes when another one had to take over. */
  readonly engine: string;
  /** Why it is this one. */
  readonly reason: string;
  /** Jobs that can run at the same time. */
  readonly size: number;
  /**
   * Runs a job when its turn comes. Inputs are copied, never detached; arrays of the output belong to the caller.
   * @throws TacitError train/cancelled (aborted or closed), train/failed (the worker broke down), and the job's own
   */
  run<Name extends JobName>(name: Name, input: JobInput<Name>, options?: RunOptions): Promise<JobOutput<Name>>;
  /** Stops every job between two of its steps, and then the workers. Idempotent; resolves when nothing runs any more. */
  close(): Promise<void>;
}

/** Something that runs one job at a time. */
export interface Slot {
  readonly engine: string;
  readonly reason: string;
  /** False once it has broken down. */
  readonly alive: boolean;
  run(name: string, input: unknown, onProgress: (progress: Progress) => void): Promise<unknown>;
  /** The running job ends at its next step. */
  cancel(): void;
  /** Cancels, waits for at most one step, and frees everything. */
  close(): Promise<void>;
}

interface Task {
  readonly name: string;
  readonly input: unknown;
  readonly options: RunOptions;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const cancelled = (cause?: unknown): TacitError =>
  new TacitError('train/cancelled', 'the job was stopped before its end', cause === undefined ? {} : { cause });

/** @param open makes a slot ready; called again for each one that breaks down. @throws its error, with no slot left open */
export async function createScheduler(open: () => Promise<Slot>, size: number): Promise<TrainingPool> {
  const slots = new Set(await openTogether(Array.from({ length: size }, () => open())));
  let spokesman = [...slots][0]!;
  const idle: Slot[] = [...slots];
  const queue: Task[] = [];
  const replacements = new Set<Promise<void>>();
  let closing: Promise<void> | undefined;

  function pump(): void {
    while (queue.length > 0 && idle.length > 0 && !closing) void start(queue.shift()!, idle.shift()!);
    if (queue.length > 0 && slots.size === 0 && replacements.size === 0) replace();
  }

  async function start(task: Task, slot: Slot): Promise<void> {
    const { signal, onProgress = () => {} } = task.options;
    const abort = (): void => slot.cancel();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      task.resolve(await slot.run(task.name, task.input, onProgress));
    } catch (thrown) {
      task.reject(signal?.aborted ? cancelled(signal.reason) : thrown);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
    if (slot.alive) idle.push(slot);
    else if (slots.delete(slot)) replace();
    pump();
  }

  /** Opens a slot in the place of a broken one; when none is left and none can be opened, everything that waits fails. */
  function replace(): void {
    if (closing) return;
    const opened = open().then(
      async (slot) => {
        if (closing) return slot.close();
        slots.add(slot);
        if (!slots.has(spokesman)) spokesman = slot;
        idle.push(slot);
      },
      (thrown) => {
        if (slots.size > 0 || replacements.size > 1) return;
        for (const task of queue.splice(0)) task.reject(thrown);
      },
    );
    replacements.add(opened);
    void opened.then(() => {
      replacements.delete(opened);
      pump();
    });
  }

  async function shutDown(): Promise<void> {
    for (const task of queue.splice(0)) task.reject(cancelled());
    await Promise.all([...slots].map((slot) => slot.close()));
    await Promise.all(replacements);
  }

  function run(name: string, input: unknown, options: RunOptions = {}): Promise<unknown> {
    const { signal } = options;
    if (closing || signal?.aborted) return Promise.reject(cancelled(signal?.reason));
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        const place = queue.indexOf(task);
        if (place < 0) return;
        queue.splice(place, 1);
        reject(cancelled(signal?.reason));
      };
      const settle =
        <T>(how: (value: T) => void) =>
        (value: T): void => {
          signal?.removeEventListener('abort', leave);
          how(value);
        };
      const task: Task = { name, input, options, resolve: settle(resolve), reject: settle(reject) };
      signal?.addEventListener('abort', leave, { once: true });
      queue.push(task);
      pump();
    });
  }

  return {
    get engine() {
      return spokesman.engine;
    },
    get reason() {
      return spokesman.reason;
    },
    size,
    run: run as TrainingPool['run'],
    close: () => {
      closing ??= Promise.resolve().then(shutDown);
      return closing;
    },
  };
}
