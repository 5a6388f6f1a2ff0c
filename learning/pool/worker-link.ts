/** The pool's side of the conversation with one worker: what was asked, and what has been answered. Same for both platforms. */
import type { TacitError } from '../../protocol/errors.ts';
import type { Progress } from './job.ts';
import { errorFrom, type FromWorker } from './messages.ts';

/** What a worker trains with, and why. */
interface Equipment {
  readonly engine: string;
  readonly reason: string;
}

interface Pending {
  readonly onProgress: (progress: Progress) => void;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: TacitError) => void;
}

export interface WorkerLink {
  /** Resolves when the worker's engine is there. */
  readonly ready: Promise<Equipment>;
  /** What it trains with now; what it has said last, empty before it is ready. */
  readonly equipment: Equipment;
  /** Resolves when the worker has freed everything, or broken down. */
  readonly closed: Promise<void>;
  /** Whether a job runs. */
  readonly busy: boolean;
  /** False once it has broken down. */
  readonly alive: boolean;
  receive(message: FromWorker): void;
  /** Waits for the answer to the job that `send` sends; a `send` that throws leaves the worker as it was. */
  ask(send: () => void, onProgress: (progress: Progress) => void): Promise<unknown>;
  /** The worker is gone: whatever waits for it fails with `error`. */
  breakDown(error: TacitError): void;
}

/** @param onIdle called whenever a job has ended */
export function workerLink(onIdle: () => void = () => {}): WorkerLink {
  let alive = true;
  let pending: Pending | undefined;
  let equipment: Equipment = { engine: '', reason: '' };
  let open: { resolve: (ready: Equipment) => void; reject: (error: TacitError) => void };
  let close: () => void;
  const ready = new Promise<Equipment>((resolve, reject) => {
    open = { resolve, reject };
  });
  ready.catch(() => {}); // whoever waits for it is told; nobody may wait any more
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });
  const settle = (): Pending | undefined => {
    const settled = pending;
    pending = undefined;
    onIdle();
    return settled;
  };
  const fail = (error: TacitError): void => {
    open.reject(error);
    settle()?.reject(error);
  };
  return {
    ready,
    closed,
    get equipment() {
      return equipment;
    },
    get busy() {
      return pending !== undefined;
    },
    get alive() {
      return alive;
    },
    receive: (message) => {
      switch (message.kind) {
        case 'ready':
          equipment = message;
          return open.resolve(message);
        case 'engine':
          equipment = message;
          return;
        case 'progress':
          return pending?.onProgress(message.progress);
        case 'done':
          return settle()?.resolve(message.output);
        case 'failed':
          return fail(errorFrom(message.error));
        case 'closed':
          return close();
        default:
          message satisfies never;
      }
    },
    ask: (send, onProgress) =>
      new Promise((resolve, reject) => {
        send();
        pending = { onProgress, resolve, reject };
      }),
    breakDown: (error) => {
      alive = false;
      fail(error);
      close();
    },
  };
}
