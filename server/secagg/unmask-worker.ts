/** Entry of an unmasking thread: takes masks off a vector of its own, which starts at zero, until it is asked for it. */
import { parentPort, workerData } from 'node:worker_threads';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { type Removal, removeMasks } from './removal.ts';

/** What the thread is started with. */
export interface UnmaskStart {
  readonly words: number;
}

export type ToUnmasker = { readonly kind: 'part'; readonly removal: Removal } | { readonly kind: 'end' };
/** `ready` for another part, or the vector. */
export type FromUnmasker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'vector'; readonly words: Int32Array<ArrayBuffer> };

if (parentPort) {
  const port = parentPort;
  const words = new Int32Array((workerData as UnmaskStart).words);
  const post = (message: FromUnmasker, move: ArrayBuffer[] = []): void => port.postMessage(message, move);
  port.on('message', (message: ToUnmasker) => {
    if (message.kind === 'end') {
      post({ kind: 'vector', words }, [words.buffer]);
      return;
    }
    const { removal } = message;
    void removeMasks(nodeCrypto, removal, words).then(() => {
      for (const { b } of removal.own) b.fill(0);
      for (const { secretKey } of removal.lost) secretKey.fill(0);
      post({ kind: 'ready' });
    });
  });
  post({ kind: 'ready' });
}
