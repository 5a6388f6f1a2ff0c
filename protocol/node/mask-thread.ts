/**
 * Masks on a thread of their own, one for the process, so that the thread with the sockets goes on meanwhile: what takes longer than
 * the way there. A keystream leaves much garbage, which in that thread's small heap costs next to nothing.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';
import { counterAt, type Mask } from '../crypto/masks.ts';
import { TacitError } from '../errors.ts';
import type { MaskReply, MaskRequest } from './mask-worker.ts';
import { applyMasksHere } from './masks.ts';

/** Bytes of keystream from which on the thread is worth its way: some milliseconds. */
const THREAD_BYTES = 4 * 2 ** 20;
/** Shared memory that is kept for the next vectors. */
const MAX_SPARE = 16;

/** Node runs no TypeScript: started from its sources, the worker is the one that was built. */
const ownScript = (): URL =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../dist/protocol/node/mask-worker.js', import.meta.url)
    : new URL('./mask-worker.js', import.meta.url);

interface Waiting {
  resolve(): void;
  reject(error: TacitError): void;
}

interface MaskThread {
  ask(request: Omit<MaskRequest, 'id'>): Promise<void>;
}

let running: MaskThread | undefined;
const spare: SharedArrayBuffer[] = [];

function startThread(): MaskThread {
  const worker = new Worker(ownScript(), { execArgv: [] });
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  const end = (cause?: Error): void => {
    if (running === thread) running = undefined;
    const error = new TacitError('internal', `the masking thread broke down: ${cause?.message ?? 'it ended'}`, {
      cause,
    });
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.on('error', end);
  worker.on('exit', () => end());
  worker.on('message', ({ id }: MaskReply) => {
    waiting.get(id)?.resolve();
    waiting.delete(id);
    if (waiting.size === 0) worker.unref(); // an idle thread does not keep the process alive
  });
  worker.unref();
  const thread: MaskThread = {
    ask: (request) =>
      new Promise((resolve, reject) => {
        lastId += 1;
        worker.postMessage({ id: lastId, ...request } satisfies MaskRequest);
        waiting.set(lastId, { resolve, reject });
        worker.ref();
      }),
  };
  return thread;
}

/** Memory that both threads see; the words go there and back, since their own belongs to the caller. */
function sharedCopy(words: Int32Array): Int32Array<SharedArrayBuffer> {
  const place = spare.findIndex(({ byteLength }) => byteLength === words.byteLength);
  const memory = place < 0 ? new SharedArrayBuffer(words.byteLength) : spare.splice(place, 1)[0]!;
  const copy = new Int32Array(memory);
  copy.set(words);
  return copy;
}

async function applyInThread(words: Int32Array, masks: readonly Mask[], firstWord: number): Promise<void> {
  counterAt(firstWord); // refused here, where the caller hears of it
  running ??= startThread();
  const shared = sharedCopy(words);
  await running.ask({ words: shared, masks, firstWord });
  words.set(shared);
  shared.fill(0);
  if (spare.length >= MAX_SPARE) spare.shift();
  spare.push(shared.buffer);
}

/** words ← words + Σ sign · mask. @param firstWord where in the streams `words` begins, a multiple of 4 @throws RangeError unless it is */
export async function applyMasks(words: Int32Array, masks: readonly Mask[], firstWord = 0): Promise<void> {
  const worthIt = masks.length * words.byteLength >= THREAD_BYTES && isMainThread;
  if (worthIt && existsSync(fileURLToPath(ownScript()))) await applyInThread(words, masks, firstWord);
  else await applyMasksHere(words, masks, firstWord);
}
