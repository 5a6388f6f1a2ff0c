/** Entry of the masking thread: applies masks to shared words, one request after the other, and erases its copies of their keys. */
import { parentPort } from 'node:worker_threads';
import type { Mask } from '../crypto/masks.ts';
import { applyMasksHere } from './masks.ts';

export interface MaskRequest {
  readonly id: number;
  /** Changed in place. */
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly masks: readonly Mask[];
  readonly firstWord: number;
}

/** Which request is done. */
export interface MaskReply {
  readonly id: number;
}

if (parentPort) {
  const port = parentPort;
  let tail: Promise<void> = Promise.resolve();
  port.on('message', ({ id, words, masks, firstWord }: MaskRequest) => {
    tail = tail.then(async () => {
      await applyMasksHere(words, masks, firstWord);
      for (const { key } of masks) key.fill(0);
      port.postMessage({ id } satisfies MaskReply);
    });
  });
}
