/** Waiting that ends with the connection. */
import { TacitError } from '../protocol/errors.ts';
import type { ParticipantPeer } from '../protocol/peer.ts';

/** The same promise, but rejected as soon as the connection ends or the contribution is dropped. */
export function untilClosed<T>(peer: ParticipantPeer, signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const forget = peer.onClose((reason) => reject(new TacitError('net/closed', reason)));
    const drop = (): void => reject(new TacitError('train/cancelled', 'the attempt is over'));
    signal.addEventListener('abort', drop, { once: true });
    if (signal.aborted) drop();
    work.then(resolve, reject).finally(() => {
      forget();
      signal.removeEventListener('abort', drop);
    });
  });
}
