/**
 * A socket.io client as a `Connection`: WebSocket only, one event `frame` with one binary attachment, no reconnection of its
 * own (the participant decides when to come back). The same code serves Node and browsers.
 */
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { TacitError } from '../protocol/errors.ts';
import { type Connection, LIMITS } from '../protocol/transport.ts';

/** Bytes that may wait in the socket before `send` holds its caller back. */
const HIGH_WATER_BYTES = LIMITS.window * LIMITS.chunkBytes;
const CONNECT_TIMEOUT_MS = 20_000;
/** How often a full socket is looked at: WebSockets have no event for "drained". */
const DRAIN_POLL_MS = 5;

type SocketIoOptions = Partial<ManagerOptions & SocketOptions>;

/** What keeps a connection from coming about, turned into a coded error by the platform's entry. */
export type ExplainFailure = (cause: Error) => TacitError;

interface WebSocketLike {
  readonly bufferedAmount: number;
}

/** The WebSocket under a socket.io client, where the engine shows it. */
function webSocketOf(socket: Socket): WebSocketLike | undefined {
  const transport: unknown = socket.io.engine?.transport;
  if (typeof transport !== 'object' || transport === null || !('ws' in transport)) return undefined;
  const { ws } = transport;
  const known = typeof ws === 'object' && ws !== null && 'bufferedAmount' in ws;
  return known ? (ws as WebSocketLike) : undefined;
}

/** Node hands out Buffers, browsers ArrayBuffers. */
function bytesOf(payload: unknown): Uint8Array | undefined {
  if (payload instanceof Uint8Array) return new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength);
  return payload instanceof ArrayBuffer ? new Uint8Array(payload) : undefined;
}

/**
 * Opens a connection to the coordinator at `url`.
 * @throws TacitError what `explain` makes of the failure; net/closed when `signal` aborts
 */
export function openSocket(
  url: string,
  options: SocketIoOptions,
  explain: ExplainFailure,
  signal?: AbortSignal,
): Promise<Connection> {
  const socket = io(url, {
    transports: ['websocket'],
    upgrade: false,
    reconnection: false,
    forceNew: true,
    timeout: CONNECT_TIMEOUT_MS,
    ...options,
  });
  const connection = connectionOver(socket, url);
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      socket.off('connect').off('connect_error');
      signal?.removeEventListener('abort', stop);
      act();
    };
    const fail = (error: TacitError) =>
      settle(() => {
        socket.disconnect();
        reject(error);
      });
    const stop = () => fail(new TacitError('net/closed', 'connecting was stopped'));
    socket.on('connect', () => settle(() => resolve(connection)));
    socket.on('connect_error', (cause) => fail(explain(cause)));
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
  });
}

/** Wraps a socket.io client that is connected or about to be. */
function connectionOver(socket: Socket, remote: string): Connection {
  let closedBecause: string | undefined;
  let receive: ((frame: Uint8Array) => void) | undefined;
  let ended: ((reason: string) => void) | undefined;
  const early: Uint8Array[] = [];

  const end = (reason: string): void => {
    if (closedBecause !== undefined) return;
    closedBecause = reason;
    socket.disconnect();
    ended?.(reason);
  };
  socket.on('disconnect', (reason) => end(reason));
  socket.on('frame', (payload: unknown) => {
    const frame = bytesOf(payload);
    if (!frame || frame.length > LIMITS.frameBytes) return end('the coordinator sent something that is not a frame');
    if (receive) receive(frame);
    else early.push(frame);
  });

  const drained = async (): Promise<void> => {
    while (closedBecause === undefined && (webSocketOf(socket)?.bufferedAmount ?? 0) > HIGH_WATER_BYTES) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
  };

  return {
    remote,
    get closed() {
      return closedBecause !== undefined;
    },
    async send(frame) {
      if (frame.length > LIMITS.frameBytes) throw new TacitError('wire/too-large', `a frame of ${frame.length} bytes`);
      await drained();
      if (closedBecause !== undefined) throw new TacitError('net/closed', `the connection has ended: ${closedBecause}`);
      socket.emit('frame', frame);
    },
    onFrame(handler) {
      receive = handler;
      for (const frame of early.splice(0)) handler(frame);
    },
    onClose(handler) {
      ended = handler;
      if (closedBecause !== undefined) handler(closedBecause);
    },
    close: (reason = 'closed by this side') => end(reason),
  };
}
