/**
 * The training pool of a page: the interface of Node's pool over Web Workers. A Web Worker may be ended at any time, so closing
 * does not wait for a step.
 */
import { TacitError } from '../../protocol/errors.ts';
import type { EngineChoice } from '../engine/engine.ts';
import type { EngineOptions } from '../engine/select.ts';
import { controlOf, controlWords } from './control.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';
import { createScheduler, type Slot, type TrainingPool } from './scheduler.ts';
import { workerLink } from './worker-link.ts';

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

async function webWorkerSlot(start: Omit<WorkerStart, 'words'>): Promise<Slot> {
  const words = controlWords();
  const control = controlOf(words);
  const link = workerLink();
  const worker = startWorker();
  const post = (message: ToWorker): void => worker.postMessage(message);
  const end = (error: TacitError): void => {
    worker.terminate();
    link.breakDown(error);
  };
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => link.receive(data);
  worker.onerror = (event) => {
    event.preventDefault();
    end(new TacitError('train/failed', `the training worker broke down: ${event.message ?? 'it could not be loaded'}`));
  };
  post({ kind: 'start', start: { ...start, words } });
  await link.ready.catch((thrown: TacitError) => {
    end(thrown);
    throw thrown;
  });
  return {
    get engine() {
      return link.equipment.engine;
    },
    get reason() {
      return link.equipment.reason;
    },
    get alive() {
      return link.alive;
    },
    run: (name, input, onProgress) =>
      link.ask(() => {
        control.reset();
        post({ kind: 'run', name, input });
      }, onProgress),
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
