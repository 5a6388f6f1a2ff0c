/** Entry of an unmasking thread: takes masks off a vector of its own, which starts at zero, until it is asked for it; then off another. */
import { parentPort } from 'node:worker_threads';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { type Removal, type RemovalPart, removeMasks } from './removal.ts';

/** What all parts of a removal have in common. */
export type RemovalFrame = Omit<Removal, keyof RemovalPart>;

/** In this order; the first is not answered. */
export type ToUnmasker =
  | { readonly kind: 'begin'; readonly words: number; readonly frame: RemovalFrame }
  | { readonly kind: 'part'; readonly part: RemovalPart }
  | { readonly kind: 'end' };
/** A part is `done`, or the vector. */
export type FromUnmasker =
  | { readonly kind: 'done' }
  | { readonly kind: 'vector'; readonly words: Int32Array<ArrayBuffer> };

if (parentPort) {
  const port = parentPort;
  let words = new Int32Array(0);
  let frame: RemovalFrame | undefined;
  const takeOff = async (part: RemovalPart): Promise<void> => {
    if (frame) await removeMasks(nodeCrypto, { ...frame, ...part }, words);
    for (const { b } of part.own) b.fill(0);
    for (const { secretKey } of part.lost) secretKey.fill(0);
  };
  const take = async (message: ToUnmasker): Promise<void> => {
    const post = (answer: FromUnmasker, move: ArrayBuffer[] = []): void => port.postMessage(answer, move);
    switch (message.kind) {
      case 'begin':
        words = new Int32Array(message.words);
        frame = message.frame;
        return;
      case 'part':
        await takeOff(message.part);
        return post({ kind: 'done' });
      case 'end':
        return post({ kind: 'vector', words }, [words.buffer]);
    }
  };
  // a message may come while the one before is worked on
  let tail: Promise<void> = Promise.resolve();
  port.on('message', (message: ToUnmasker) => {
    tail = tail.then(() => take(message));
  });
}
