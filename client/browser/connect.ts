/** Connects a page to the coordinator that served it, or to another one that allows this page's origin. */
import { TacitError } from '../../protocol/errors.ts';
import type { Connection } from '../../protocol/transport.ts';
import { parseAddress } from '../address.ts';
import { openSocket } from '../socket.ts';

/** @throws TacitError net/unreachable, net/insecure; a browser tells a page nothing more about why it did not work */
export async function connectFromBrowser(url: string, signal?: AbortSignal): Promise<Connection> {
  const { origin } = parseAddress(url).url;
  const explain = (cause: Error): TacitError =>
    new TacitError('net/unreachable', `${origin} cannot be reached`, {
      hint: 'Is the coordinator still running, and are you connected to the network?',
      cause,
    });
  return openSocket(origin, {}, explain, signal);
}
