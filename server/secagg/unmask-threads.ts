/**
 * The threads that unmask, kept between sums: starting one takes as long as taking 80 MB of masks off. They are started while the
 * participants agree on who is in a sum. Those that wait keep no process from ending.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { TacitError } from '../../protocol/errors.ts';
import type { RemovalPart } from './removal.ts';
import type { FromUnmasker, RemovalFrame, ToUnmasker } from './unmask-worker.ts';

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
  /** Of what was asked, in order. */
  private readonly pending: Pending[] = [];
  private cause: Error | undefined;

  constructor() {
    this.worker.on('message', (answer: FromUnmasker) => this.pending.shift()?.resolve(answer));
    this.worker.on('error', (cause) => this.end(cause));
    this.worker.on('exit', () => this.end());
    this.worker.unref();
  }

  /** A vector of so many words, from zero, without the masks of the parts, which are taken until there are none. */
  async remove(words: number, frame: RemovalFrame, parts: RemovalPart[]): Promise<Int32Array> {
    this.worker.ref();
    try {
      this.worker.postMessage({ kind: 'begin', words, frame } satisfies ToUnmasker);
      let before: Promise<unknown> = Promise.resolve();
      for (let part = parts.pop(); part; part = parts.pop()) {
        const done = this.ask({ kind: 'part', part });
        await before; // one is worked on and one waits, so that the thread never does
        before = done;
      }
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
    const answer = new Promise<FromUnmasker>((resolve, reject) => {
      this.pending.push({ resolve, reject });
      if (this.isAlive) this.worker.postMessage(message);
      else this.end();
    });
    answer.catch(() => {}); // whoever awaits the last one hears of it
    return answer;
  }

  private end(cause?: Error): void {
    this.isAlive = false;
    this.cause ??= cause;
    const why = this.cause?.message ?? 'it ended';
    const error = new TacitError('internal', `an unmasking thread broke down: ${why}`, { cause: this.cause });
    for (const { reject } of this.pending.splice(0)) reject(error);
  }
}

const waiting: UnmaskThread[] = [];

/** Starts threads until so many wait. */
export function prepareThreads(count: number): void {
  while (waiting.length < count) waiting.push(new UnmaskThread());
}

/** Takes the masks of these parts off a vector of zeros, in one thread of those that wait, or in a new one. */
export async function removeInThread(
  words: number,
  frame: RemovalFrame,
  parts: RemovalPart[],
  keep: number,
): Promise<Int32Array> {
  let thread = waiting.pop();
  while (thread && !thread.isAlive) thread = waiting.pop();
  thread ??= new UnmaskThread();
  try {
    const vector = await thread.remove(words, frame, parts);
    if (waiting.length < keep) waiting.push(thread);
    else thread.close();
    return vector;
  } catch (thrown) {
    thread.close();
    throw thrown;
  }
}
