/** Entry of an unmasking thread: takes masks off a vector of its own, which starts at zero, until it is asked for it; then off another. */
import { parentPort } from 'node:worker_threads';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { type Removal, removeMasks } from './removal.ts';

export type ToUnmasker =
  | { readonly kind: 'begin'; readonly words: number }
  | { readonly kind: 'part'; readonly removal: Removal }
  | { readonly kind: 'end' };
/** `ready` for another part, or the vector. */
export type FromUnmasker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'vector'; readonly words: Int32Array<ArrayBuffer> };

if (parentPort) {
  const port = parentPort;
  let words = new Int32Array(0);
  const post = (message: FromUnmasker, move: ArrayBuffer[] = []): void => port.postMessage(message, move);
  const takeOff = async (removal: Removal): Promise<void> => {
    await removeMasks(nodeCrypto, removal, words);
    for (const { b } of removal.own) b.fill(0);
    for (const { secretKey } of removal.lost) secretKey.fill(0);
  };
  port.on('message', async (message: ToUnmasker) => {
    switch (message.kind) {
      case 'begin':
        words = new Int32Array(message.words);
        return post({ kind: 'ready' });
      case 'part':
        await takeOff(message.removal);
        return post({ kind: 'ready' });
      case 'end':
        return post({ kind: 'vector', words }, [words.buffer]);
    }
  });
}
