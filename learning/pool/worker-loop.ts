/** The inside of a worker: takes `run` messages one after another and answers each. Same for Node and the browser. */
import { asTacitError } from '../../protocol/errors.ts';
import { controlOf, guardOf } from './control.ts';
import type { JobContext } from './job.ts';
import { errorData, type FromWorker, ownedBuffers, type ToWorker, type WorkerStart } from './messages.ts';
import { createRunner, type Runner } from './runner.ts';

export interface Port {
  /** @throws if `message` cannot be cloned, or a buffer not be moved */
  post(message: FromWorker, move: readonly ArrayBuffer[]): void;
}

export interface WorkerPlatform {
  readonly openSource: JobContext['openSource'];
  /** Between two steps, where stopping needs a message to arrive. */
  readonly breathe?: () => Promise<void>;
}

/** Moves the arrays of an output where the platform lets them go, and copies them otherwise. */
function postOutput(port: Port, output: unknown): void {
  try {
    port.post({ kind: 'done', output }, ownedBuffers(output));
  } catch {
    port.post({ kind: 'done', output }, []);
  }
}

/** @returns what to do with each message after the first */
export async function serveJobs(
  port: Port,
  { engine, engineOptions, words }: WorkerStart,
  { openSource, breathe }: WorkerPlatform,
): Promise<(message: ToWorker) => Promise<void>> {
  let runner: Runner;
  let told = '';
  /** Says what trains here, when that is news. */
  const tell = (kind: 'ready' | 'engine'): void => {
    const { engine: name, reason } = runner;
    if (told === `${name}: ${reason}`) return;
    told = `${name}: ${reason}`;
    port.post({ kind, engine: name, reason }, []);
  };
  try {
    const guard = guardOf(words, breathe);
    runner = await createRunner({ engine, guard, openSource, ...(engineOptions ? { engineOptions } : {}) });
    tell('ready');
  } catch (thrown) {
    port.post({ kind: 'failed', error: errorData(asTacitError(thrown)) }, []);
    return async ({ kind }) => {
      if (kind === 'close') port.post({ kind: 'closed' }, []);
    };
  }
  return async (message) => {
    switch (message.kind) {
      case 'run':
        // where memory is shared, the pool's end has done so; a second time might undo a `cancel` that is already there
        if (words.buffer instanceof ArrayBuffer) controlOf(words).reset();
        try {
          const report = (progress: Parameters<Parameters<Runner['run']>[2]>[0]): void => {
            tell('engine');
            port.post({ kind: 'progress', progress }, []);
          };
          const output = await runner.run(message.name, message.input, report);
          tell('engine');
          postOutput(port, output);
        } catch (thrown) {
          port.post({ kind: 'failed', error: errorData(thrown) }, []);
        }
        return;
      case 'close':
        await runner.close().catch(() => {});
        port.post({ kind: 'closed' }, []);
        return;
      case 'cancel':
        controlOf(words).cancel();
        return;
      case 'start':
        return;
      default:
        message satisfies never;
    }
  };
}
