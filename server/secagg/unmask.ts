/**
 * Takes the masks off a group's sum: in worker threads, which share the masks and add up what they have, or at once if there are so
 * few that nobody waits for it. While threads work the coordinator goes on answering.
 */
import { availableParallelism } from 'node:os';
import type { CryptoProvider } from '../../protocol/crypto/provider.ts';
import { addWords } from '../../protocol/fixed-point.ts';
import { applyMasksHere } from '../../protocol/node/masks.ts';
import { masksIn, partsOf, type Removal, removeMasks } from './removal.ts';
import { hasThreads, prepareThreads, removeInThread } from './unmask-threads.ts';

/** Bytes of keystream below which no thread is used: some 100 ms, in turns of 10. */
const AT_ONCE_BYTES = 64 * 2 ** 20;
/** Masks that a thread is given at a time. */
const MASKS_PER_PART = 64;

export interface UnmaskOptions {
  /** Threads at most; 0 for none. One less than there are processors, but at least one, by default. */
  readonly threads?: number;
}

/** Threads that are worth it for so many masks of so many words. */
function threadsFor(masks: number, words: number, { threads }: UnmaskOptions): number {
  const most = threads ?? Math.max(1, availableParallelism() - 1);
  if (most === 0 || 4 * words * masks < AT_ONCE_BYTES || !hasThreads()) return 0;
  return Math.min(most, Math.ceil(masks / MASKS_PER_PART));
}

/** Starts the threads that a sum of so many words will need to be opened, once it is known of whom it is. */
export function prepareUnmasking(survivors: number, lost: number, words: number, options: UnmaskOptions = {}): void {
  prepareThreads(threadsFor(survivors * (1 + lost), words, options));
}

/** sum ← sum without the masks of the removal. */
export async function unmask(
  crypto: CryptoProvider,
  removal: Removal,
  sum: Int32Array,
  options: UnmaskOptions = {},
): Promise<void> {
  const threads = threadsFor(masksIn(removal), sum.length, options);
  if (threads === 0) {
    // on this thread: the way to another one takes longer than such a sum
    await removeMasks({ ...crypto, applyMasks: applyMasksHere }, removal, sum);
    return;
  }
  const parts = partsOf(removal, MASKS_PER_PART);
  const count = Math.min(threads, parts.length);
  const { context, lost } = removal;
  const frame = { context, survivors: lost.length > 0 ? removal.survivors : [] };
  const vectors = await Promise.all(
    Array.from({ length: count }, () => removeInThread(sum.length, frame, parts, threads)),
  );
  for (const vector of vectors) addWords(sum, vector);
}
