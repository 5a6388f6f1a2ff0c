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
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';
import type { Slot } from './scheduler.ts';
import { type WorkerLink, workerLink } from './worker-link.ts';

export interface ThreadOptions {
  readonly engine: EngineChoice;
  /** On Linux, where threads have priorities of their own, it gives way to every other. */
  readonly background?: boolean;
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

/** However the process ends, its workers are outside of their engines by then. */
function watchExit(): void {
  if (watching) return;
  watching = true;
  process.on('exit', () => {
    for (const control of live) control.stop();
    for (const control of live) control.waitOutside(EXIT_MS);
  });
}

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Thread {
  readonly worker: Worker;
  readonly control: Control;
  readonly link: WorkerLink;
  /** Set by `close`: the thread's end is then no failure. */
  stopping: boolean;
}

function startThread({ engine, background = false, script = ownScript() }: ThreadOptions): Thread {
  if (!existsSync(fileURLToPath(script))) {
    throw new TacitError('engine/unavailable', 'the training worker is not built', { hint: 'Run `npm run build`.' });
  }
  const words = controlWords();
  const control = controlOf(words);
  const start: WorkerStart = { engine, words, background };
  const worker = new Worker(script, { workerData: start, execArgv: [] });
  const link = workerLink(() => worker.unref());
  const thread: Thread = { worker, control, link, stopping: false };
  live.add(control);
  watchExit();
  worker.on('message', (message: FromWorker) => link.receive(message));
  worker.on('error', (cause) => {
    link.breakDown(new TacitError('train/failed', `a training worker broke down: ${cause.message}`, { cause }));
  });
  worker.on('exit', (status) => {
    live.delete(control);
    const stopped = new TacitError('train/cancelled', 'the job was stopped before its end');
    const failed = new TacitError('train/failed', `a training worker ended (status ${status})`);
    link.breakDown(thread.stopping ? stopped : failed);
  });
  return thread;
}

/** Ends the thread when that does no harm: its job over, or (after some grace) outside of the engine. */
async function closeThread(thread: Thread): Promise<void> {
  const { worker, control, link } = thread;
  if (!link.alive || thread.stopping) return;
  thread.stopping = true;
  control.stop();
  const end = Date.now() + GRACE_MS;
  while ((link.busy && Date.now() < end) || control.inside()) await delay(2);
  if (!link.busy) {
    worker.postMessage({ kind: 'close' } satisfies ToWorker);
    await Promise.race([link.closed, delay(GRACE_MS)]);
  }
  await worker.terminate();
}

/** Starts a worker and waits until its engine is there. @throws TacitError engine/unavailable */
export async function threadSlot(options: ThreadOptions): Promise<Slot> {
  const thread = startThread(options);
  const { worker, control, link } = thread;
  try {
    await link.ready;
    worker.unref(); // an idle pool does not keep the process alive
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
          worker.postMessage({ kind: 'run', name, input } satisfies ToWorker);
          worker.ref();
        }, onProgress),
      cancel: control.cancel,
      close: () => closeThread(thread),
    };
  } catch (thrown) {
    await closeThread(thread);
    throw thrown;
  }
}
