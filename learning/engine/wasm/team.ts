/**
 * The threads that help with a run: Web Workers that hold the same module over the same memory. They are told to run by message, and
 * meet the first thread inside of the module.
 */
import type { FromThread, ToThread } from './thread-worker.ts';

/** A module over its memory. */
export interface Loaded {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

export interface Team {
  /** With the thread that runs `run` itself. */
  readonly threads: number;
  /** Makes the module known to all. @returns what has them run it once, and what has them forget it */
  attach(loaded: Loaded): Promise<{ readonly run: () => void; readonly detach: () => void }>;
  close(): void;
}

/** A team of one. */
export const ALONE: Team = {
  threads: 1,
  attach: async () => ({ run: () => {}, detach: () => {} }),
  close: () => {},
};

/** The part of a worker that is used here. */
export interface Helper {
  post(message: ToThread): void;
  onMessage(receive: (message: FromThread) => void): void;
  onFailure(fail: (reason: Error) => void): void;
  terminate(): void;
}

// `.js`: what the built package holds; a bundler that starts from the sources finds the `.ts` beside it
const startWorker = (): Worker => new Worker(new URL('./thread-worker.js', import.meta.url), { type: 'module' });

function webHelper(): Helper {
  const worker = startWorker();
  return {
    post: (message) => worker.postMessage(message),
    onMessage: (receive) => {
      worker.onmessage = ({ data }: MessageEvent<FromThread>) => receive(data);
    },
    onFailure: (fail) => {
      worker.onerror = (event) => {
        event.preventDefault();
        fail(new Error(`a thread broke down: ${event.message ?? 'it could not be loaded'}`));
      };
    },
    terminate: () => worker.terminate(),
  };
}

/**
 * Starts the threads beside this one and waits until each has its code.
 * @throws Error when one cannot be started
 */
export async function createTeam(threads: number, start: () => Helper = webHelper): Promise<Team> {
  if (threads === 1) return ALONE;
  const helpers = Array.from({ length: threads - 1 }, start);
  const waiting = new Map<string, { resolve: () => void; reject: (reason: Error) => void }>();
  const answer = (index: number, id: number): Promise<void> =>
    new Promise((resolve, reject) => {
      waiting.set(`${index}:${id}`, { resolve, reject });
    });
  helpers.forEach((helper, index) => {
    helper.onMessage(({ attached }) => {
      waiting.get(`${index}:${attached}`)?.resolve();
      waiting.delete(`${index}:${attached}`);
    });
    helper.onFailure((reason) => {
      for (const { reject } of waiting.values()) reject(reason);
      waiting.clear();
    });
  });
  const close = (): void => {
    for (const helper of helpers) helper.terminate();
  };
  let next = 1;
  const all = (message: (thread: number) => ToThread): void =>
    helpers.forEach((helper, index) => {
      helper.post(message(index + 1));
    });
  const answers = (id: number) => Promise.all(helpers.map((_, index) => answer(index, id)));
  const ready = answers(0);
  all(() => ({ kind: 'greet' }));
  await ready.catch((thrown) => {
    close();
    throw thrown;
  });
  return {
    threads,
    attach: async ({ module, memory }) => {
      const id = next++;
      const done = answers(id);
      all((thread) => ({ kind: 'attach', id, module, memory, thread }));
      await done;
      return { run: () => all(() => ({ kind: 'run', id })), detach: () => all(() => ({ kind: 'detach', id })) };
    },
    close,
  };
}
