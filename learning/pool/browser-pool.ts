/**
 * The training pool of a page: the interface of Node's pool over Web Workers. A Web Worker may be ended at any time, so closing
 * does not wait for a step.
 */
import { TacitError } from '../../protocol/errors.ts';
import type { EngineChoice } from '../engine/engine.ts';
import type { EngineOptions } from '../engine/select.ts';
import { controlOf, controlWords } from './control.ts';
import type { Progress } from './job.ts';
import { errorFrom, type FromWorker, type ToWorker, type WorkerStart } from './messages.ts';
import { createScheduler, type Slot, type TrainingPool } from './scheduler.ts';

export interface BrowserPoolOptions {
  readonly engine?: EngineChoice;
  /** Where the engines find their `.wasm` files. */
  readonly engineOptions?: EngineOptions;
  /** Where the page's server has the bundled data, ending in `/`. */
  readonly dataUrl?: string;
  /** Web Workers (default 1). */
  readonly workers?: number;
}

// `.js`: what the built package holds; a bundler that starts from the sources finds the `.ts` beside it
const startWorker = (): Worker => new Worker(new URL('./browser-worker.js', import.meta.url), { type: 'module' });

interface Pending {
  readonly onProgress: (progress: Progress) => void;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: TacitError) => void;
}

async function webWorkerSlot(start: Omit<WorkerStart, 'words'>): Promise<Slot> {
  const words = controlWords();
  const control = controlOf(words);
  const worker = startWorker();
  const post = (message: ToWorker): void => worker.postMessage(message);
  let alive = true;
  let pending: Pending | undefined;
  let opened: { resolve: (ready: { engine: string; reason: string }) => void; reject: (e: TacitError) => void };
  const ready = new Promise<{ engine: string; reason: string }>((resolve, reject) => {
    opened = { resolve, reject };
  });
  const settle = (): Pending | undefined => {
    const settled = pending;
    pending = undefined;
    return settled;
  };
  const end = (error: TacitError): void => {
    alive = false;
    worker.terminate();
    opened.reject(error);
    settle()?.reject(error);
  };
  worker.onmessage = ({ data: message }: MessageEvent<FromWorker>) => {
    if (message.kind === 'ready') opened.resolve(message);
    else if (message.kind === 'progress') pending?.onProgress(message.progress);
    else if (message.kind === 'done') settle()?.resolve(message.output);
    else if (message.kind === 'failed') {
      const error = errorFrom(message.error);
      if (pending) settle()?.reject(error);
      else end(error);
    }
  };
  worker.onerror = (event) => {
    event.preventDefault();
    end(new TacitError('train/failed', `the training worker broke down: ${event.message ?? 'it could not be loaded'}`));
  };
  post({ kind: 'start', start: { ...start, words } });
  const { engine, reason } = await ready;
  return {
    engine,
    reason,
    get alive() {
      return alive;
    },
    run: (name, input, onProgress) =>
      new Promise((resolve, reject) => {
        control.reset();
        post({ kind: 'run', name, input });
        pending = { onProgress, resolve, reject };
      }),
    cancel: () => {
      control.cancel();
      post({ kind: 'cancel' });
    },
    close: async () => end(new TacitError('train/cancelled', 'the job was stopped before its end')),
  };
}

/** Starts the workers and their engines. @throws TacitError engine/unavailable */
export function createBrowserPool(options: BrowserPoolOptions = {}): Promise<TrainingPool> {
  const { engine = 'auto', workers = 1, engineOptions, dataUrl } = options;
  const start = { engine, ...(engineOptions ? { engineOptions } : {}), ...(dataUrl === undefined ? {} : { dataUrl }) };
  return createScheduler(() => webWorkerSlot(start), workers);
}
