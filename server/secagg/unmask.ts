/**
 * Takes the masks off a group's sum: in worker threads, which share the masks and add up what they have, or at once if there are so
 * few that starting threads would take longer. While threads work the coordinator goes on answering.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { CryptoProvider } from '../../protocol/crypto/provider.ts';
import { TacitError } from '../../protocol/errors.ts';
import { addWords } from '../../protocol/fixed-point.ts';
import { masksIn, partsOf, type Removal, removeMasks } from './removal.ts';
import type { FromUnmasker, ToUnmasker, UnmaskStart } from './unmask-worker.ts';

/** Bytes of keystream below which no thread is started: some 100 ms. */
const AT_ONCE_BYTES = 64 * 2 ** 20;
/** Masks that a thread is given at a time. */
const MASKS_PER_PART = 32;

/** Node runs no TypeScript: started from its sources, the worker is the one that was built. */
const ownScript = (): URL =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../dist/server/secagg/unmask-worker.js', import.meta.url)
    : new URL('./unmask-worker.js', import.meta.url);

export interface UnmaskOptions {
  /** Threads at most; 0 for none. One less than there are processors, but at least one, by default. */
  readonly threads?: number;
}

/** sum ← sum without the masks of the removal. */
export async function unmask(
  crypto: CryptoProvider,
  removal: Removal,
  sum: Int32Array,
  { threads = Math.max(1, availableParallelism() - 1) }: UnmaskOptions = {},
): Promise<void> {
  const bytes = masksIn(removal) * sum.byteLength;
  if (threads === 0 || bytes < AT_ONCE_BYTES || !existsSync(fileURLToPath(ownScript()))) {
    await removeMasks(crypto, removal, sum);
    return;
  }
  const parts = partsOf(removal, MASKS_PER_PART);
  const count = Math.min(threads, parts.length);
  const vectors = await Promise.all(Array.from({ length: count }, () => runThread(sum.length, parts)));
  for (const vector of vectors) addWords(sum, vector);
}

/** One thread, which takes parts until there are none. @returns minus the masks that it has taken off */
function runThread(words: number, parts: Removal[]): Promise<Int32Array> {
  const worker = new Worker(ownScript(), { workerData: { words } satisfies UnmaskStart, execArgv: [] });
  const send = (message: ToUnmasker): void => worker.postMessage(message);
  return new Promise<Int32Array>((resolve, reject) => {
    const failed = (cause?: Error): void =>
      reject(new TacitError('internal', `an unmasking thread broke down: ${cause?.message ?? 'it ended'}`, { cause }));
    worker.on('error', failed);
    worker.on('exit', () => failed());
    worker.on('message', (message: FromUnmasker) => {
      if (message.kind === 'vector') {
        resolve(message.words);
        return;
      }
      const removal = parts.pop();
      send(removal ? { kind: 'part', removal } : { kind: 'end' });
    });
  }).finally(() => worker.terminate());
}
