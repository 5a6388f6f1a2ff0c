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
/** Frames that are kept until there is a receiver. */
const MAX_EARLY_FRAMES = 64;

type SocketIoOptions = Partial<ManagerOptions & SocketOptions>;

/** What keeps a connection from coming about, turned into a coded error by the platform's entry. */
export type ExplainFailure = (cause: Error) => TacitError;

/** The parts of engine.io-client that its types leave out. */
interface Engine {
  readonly writeBuffer?: readonly { readonly data?: unknown }[];
  readonly transport?: { readonly ws?: { readonly bufferedAmount: number } | null };
}

const sizeOf = (data: unknown): number =>
  typeof data === 'string' ? data.length : ((data as { byteLength?: number } | undefined)?.byteLength ?? 0);

/** Bytes that were handed to the socket and are not on their way yet. */
function unsentBytes(socket: Socket): number {
  const { writeBuffer = [], transport } = socket.io.engine as unknown as Engine;
  return writeBuffer.reduce((n, { data }) => n + sizeOf(data), 0) + (transport?.ws?.bufferedAmount ?? 0);
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
  const early: Uint8Array[] = [];
  const onEnd: ((reason: string) => void)[] = [];
  let receive: ((frame: Uint8Array) => void) | undefined;
  let endReason: string | undefined;

  const end = (reason: string): void => {
    if (endReason !== undefined) return;
    endReason = reason;
    socket.disconnect();
    for (const ended of onEnd.splice(0)) ended(reason);
  };
  const take = (frame: Uint8Array): void => {
    if (endReason !== undefined) return;
    if (!receive) {
      if (early.push(frame) > MAX_EARLY_FRAMES) end('too many frames before anyone listens');
      return;
    }
    try {
      receive(frame);
    } catch (thrown) {
      end(`the receiver failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  };
  socket.on('disconnect', (reason) => end(reason));
  socket.on('frame', (payload: unknown) => {
    const frame = bytesOf(payload);
    if (frame && frame.length <= LIMITS.frameBytes) take(frame);
    else end('the coordinator sent something that is not a frame');
  });
  const closed = () => new TacitError('net/closed', `the connection has ended: ${endReason}`);

  return {
    remote,
    get closed() {
      return endReason !== undefined;
    },
    async send(frame) {
      if (frame.length > LIMITS.frameBytes) throw new TacitError('wire/too-large', `frame of ${frame.length} bytes`);
      if (endReason !== undefined) throw closed();
      socket.emit('frame', frame);
      while (unsentBytes(socket) > HIGH_WATER_BYTES) {
        await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
        if (endReason !== undefined) throw closed();
      }
    },
    onFrame(handler) {
      receive = handler;
      for (const frame of early.splice(0)) take(frame);
    },
    onClose(ended) {
      if (endReason === undefined) onEnd.push(ended);
      else ended(endReason);
    },
    close: (reason = 'closed by this side') => end(reason),
  };
}
