/**
 * A slot that is a worker thread of Node. The thread is ended only while it is outside of the engine (see control.ts), and
 * `process.exit` waits for that too: ended inside a native run, it would abort the process.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { TacitError } from '../../protocol/errors.ts';
import type { EngineChoice } from '../engine/engine.ts';
import { type Control, controlOf, controlWords } from './control.ts';
import type { Progress } from './job.ts';
import { errorFrom, type FromWorker, type ToWorker, type WorkerStart } from './messages.ts';
import type { Slot } from './scheduler.ts';

export interface ThreadOptions {
  readonly engine: EngineChoice;
  /** The worker's script; by default the one of this package. */
  readonly script?: URL;
}

/** How long a job that is not in the engine may go on after it was asked to stop. */
const GRACE_MS = 400;
/** The longest single step that the end of the process waits for. */
const EXIT_MS = 30_000;

/** Node runs no TypeScript: started from its sources, the worker is the one that was built. */
const ownScript = (): URL =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../dist/learning/pool/worker.js', import.meta.url)
    : new URL('./worker.js', import.meta.url);

const live = new Set<Control>();
let watching = false;

function watchExit(): void {
  if (watching) return;
  watching = true;
  process.on('exit', () => {
    for (const control of live) control.stop();
    for (const control of live) control.waitOutside(EXIT_MS);
  });
}

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Pending {
  readonly onProgress: (progress: Progress) => void;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: TacitError) => void;
}

/** Starts a worker and waits until its engine is there. @throws TacitError engine/unavailable */
export async function threadSlot({ engine, script = ownScript() }: ThreadOptions): Promise<Slot> {
  if (!existsSync(fileURLToPath(script))) {
    throw new TacitError('engine/unavailable', 'the training worker is not built', { hint: 'Run `npm run build`.' });
  }
  const words = controlWords();
  const control = controlOf(words);
  const worker = new Worker(script, { workerData: { engine, words } satisfies WorkerStart, execArgv: [] });
  live.add(control);
  watchExit();

  let alive = true;
  let stopping = false;
  let pending: Pending | undefined;
  let opened: { resolve: (ready: { engine: string; reason: string }) => void; reject: (e: TacitError) => void };
  const ready = new Promise<{ engine: string; reason: string }>((resolve, reject) => {
    opened = { resolve, reject };
  });
  let closed = (): void => {};

  function breakDown(error: TacitError): void {
    alive = false;
    live.delete(control);
    opened.reject(error);
    pending?.reject(error);
    pending = undefined;
    closed();
  }
  const settle = (): Pending | undefined => {
    const settled = pending;
    pending = undefined;
    worker.unref();
    return settled;
  };
  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'ready') opened.resolve(message);
    else if (message.kind === 'progress') pending?.onProgress(message.progress);
    else if (message.kind === 'done') settle()?.resolve(message.output);
    else if (message.kind === 'failed') {
      const error = errorFrom(message.error);
      opened.reject(error);
      settle()?.reject(error);
    } else if (message.kind === 'closed') closed();
  });
  worker.on('error', (cause) =>
    breakDown(new TacitError('train/failed', `a training worker broke down: ${cause.message}`, { cause })),
  );
  worker.on('exit', (status) => {
    const stopped = new TacitError('train/cancelled', 'the job was stopped before its end');
    breakDown(stopping ? stopped : new TacitError('train/failed', `a training worker ended (status ${status})`));
  });

  /** Waits until the thread may be ended without harm: its job over, or (after some grace) outside of the engine. */
  async function quiet(): Promise<void> {
    const end = Date.now() + GRACE_MS;
    while ((pending && Date.now() < end) || control.inside()) await delay(2);
  }
  async function close(): Promise<void> {
    if (!alive || stopping) return;
    stopping = true;
    control.stop();
    await quiet();
    if (!pending) {
      const answer = new Promise<void>((resolve) => {
        closed = resolve;
      });
      worker.postMessage({ kind: 'close' } satisfies ToWorker);
      await Promise.race([answer, delay(GRACE_MS)]);
    }
    await worker.terminate();
    live.delete(control);
  }

  try {
    const { engine: name, reason } = await ready;
    worker.unref();
    return {
      engine: name,
      reason,
      get alive() {
        return alive;
      },
      run: (job, input, onProgress) =>
        new Promise((resolve, reject) => {
          control.reset();
          worker.postMessage({ kind: 'run', name: job, input } satisfies ToWorker);
          worker.ref();
          pending = { onProgress, resolve, reject };
        }),
      cancel: control.cancel,
      close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}
