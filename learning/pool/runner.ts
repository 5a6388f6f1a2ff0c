/** Runs jobs one after another on one engine: what a worker thread, a Web Worker and the in-process pool have in common. */
import { TacitError } from '../../protocol/errors.ts';
import type { EngineChoice } from '../engine/engine.ts';
import { createEngine, type EngineOptions } from '../engine/select.ts';
import type { Guard } from './control.ts';
import { createExecutables } from './executables.ts';
import type { Job, JobContext, Progress } from './job.ts';
import { jobs } from './jobs.ts';

export interface RunnerOptions {
  readonly engine: EngineChoice;
  readonly engineOptions?: EngineOptions;
  readonly guard: Guard;
  readonly openSource: JobContext['openSource'];
}

export interface Runner {
  /** Name of the engine as it is now: another one may have taken over. */
  readonly engine: string;
  /** Why it is this one. */
  readonly reason: string;
  /** One at a time. @throws TacitError */
  run(name: string, input: unknown, onProgress: (progress: Progress) => void): Promise<unknown>;
  close(): Promise<void>;
}

/** Executables kept between jobs: training and encoding of two plans, and a fine-tuning. */
const KEPT = 6;
/** Progress is passed on at most this often, and at the end. */
const PROGRESS_MS = 100;

/** The first and the last progress, and between them one per `PROGRESS_MS`. */
function throttled(onProgress: (progress: Progress) => void): (progress: Progress) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (progress) => {
    const now = Date.now();
    if (now - last < PROGRESS_MS && progress.done < progress.total) return;
    last = now;
    onProgress(progress);
  };
}

/** @throws TacitError engine/unavailable */
export async function createRunner({
  engine: choice,
  engineOptions,
  guard,
  openSource,
}: RunnerOptions): Promise<Runner> {
  const selected = await guard.inside(() => createEngine(choice, engineOptions));
  const { engine } = selected;
  const executables = createExecutables(engine, guard);
  return {
    get engine() {
      return engine.name;
    },
    get reason() {
      return selected.reason;
    },
    run: async (name, input, onProgress) => {
      const job = Object.hasOwn(jobs, name) ? (jobs[name as keyof typeof jobs] as Job<unknown, unknown>) : undefined;
      if (!job) throw new TacitError('internal', `the pool has no job "${name}"`);
      try {
        guard.check();
        const progress = throttled(onProgress);
        return await job(input, { load: executables.load, openSource, checkpoint: guard.check, progress });
      } finally {
        executables.trim(KEPT);
      }
    },
    close: () => engine.close(),
  };
}
