/**
 * The threads that unmask, kept between sums: starting one takes as long as taking 80 MB of masks off. They are started while the
 * participants agree on who is in a sum. Those that wait keep no process from ending.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { TacitError } from '../../protocol/errors.ts';
import type { Removal } from './removal.ts';
import type { FromUnmasker, ToUnmasker } from './unmask-worker.ts';

/** Node runs no TypeScript: started from its sources, the worker is the one that was built. */
const script = import.meta.url.endsWith('.ts')
  ? new URL('../../dist/server/secagg/unmask-worker.js', import.meta.url)
  : new URL('./unmask-worker.js', import.meta.url);

/** Whether there is a script to start threads from. */
export const hasThreads = (): boolean => existsSync(fileURLToPath(script));

interface Pending {
  readonly resolve: (answer: FromUnmasker) => void;
  readonly reject: (error: TacitError) => void;
}

class UnmaskThread {
  isAlive = true;
  private readonly worker = new Worker(script, { execArgv: [] });
  private pending: Pending | undefined;

  constructor() {
    this.worker.on('message', (answer: FromUnmasker) => this.pending?.resolve(answer));
    this.worker.on('error', (cause) => this.end(cause));
    this.worker.on('exit', () => this.end());
    this.worker.unref();
  }

  /** A vector of so many words, from zero, without the masks of the parts, which are taken until there are none. */
  async remove(words: number, parts: Removal[]): Promise<Int32Array> {
    this.worker.ref();
    try {
      await this.ask({ kind: 'begin', words });
      for (let part = parts.pop(); part; part = parts.pop()) await this.ask({ kind: 'part', removal: part });
      const answer = await this.ask({ kind: 'end' });
      if (answer.kind !== 'vector') throw new TacitError('internal', 'an unmasking thread answers out of order');
      return answer.words;
    } finally {
      this.worker.unref();
    }
  }

  close(): void {
    void this.worker.terminate();
  }

  private ask(message: ToUnmasker): Promise<FromUnmasker> {
    return new Promise((resolve, reject) => {
      this.pending = { resolve, reject };
      if (this.isAlive) this.worker.postMessage(message);
      else this.end();
    });
  }

  private end(cause?: Error): void {
    this.isAlive = false;
    const why = cause?.message ?? 'it ended';
    this.pending?.reject(new TacitError('internal', `an unmasking thread broke down: ${why}`, { cause }));
  }
}

const waiting: UnmaskThread[] = [];

/** Starts threads until so many wait. */
export function prepareThreads(count: number): void {
  while (waiting.length < count) waiting.push(new UnmaskThread());
}

/** Takes the masks of these parts off a vector of zeros, in one thread of those that wait, or in a new one. */
export async function removeInThread(words: number, parts: Removal[], keep: number): Promise<Int32Array> {
  let thread = waiting.pop();
  while (thread && !thread.isAlive) thread = waiting.pop();
  thread ??= new UnmaskThread();
  try {
    const vector = await thread.remove(words, parts);
    if (waiting.length < keep) waiting.push(thread);
    else thread.close();
    return vector;
  } catch (thrown) {
    thread.close();
    throw thrown;
  }
}
