/** One socket.io socket as a `Connection`: backpressure towards the sender, a byte cap before sign-in, unknown events refused. */
import type { Socket } from 'socket.io';
import { TacitError } from '../protocol/errors.ts';
import { type Connection, LIMITS } from '../protocol/transport.ts';

/** Bytes that may lie unsent for one peer before `send` waits. */
const PAUSE_BYTES = 8 * 2 ** 20;
/** Bytes at which a peer that does not read is cut off. */
const CUT_OFF_BYTES = 64 * 2 ** 20;
/** Frames that are kept until there is a receiver. */
const MAX_EARLY_FRAMES = 64;

export interface SocketConnectionOptions {
  readonly remote: string;
  /** Called when the peer has signed in. */
  readonly signedIn: () => void;
}

/** The parts of engine.io that its types leave out. */
interface Engine {
  readonly writeBuffer: readonly { readonly data?: unknown }[];
  readonly transport: {
    readonly socket?: { readonly bufferedAmount: number; terminate(): void };
    on(event: 'drain', listener: () => void): void;
  };
}

/** What engine.io calls a socket: the connection before any namespace was joined. */
export interface EngineSocket extends Engine {
  on(event: 'packet', listener: (packet: { readonly data?: unknown }) => void): void;
}

/** Ends a connection without waiting for the other side: nothing more is read or written. */
export const terminate = (engine: Engine): void => engine.transport.socket?.terminate();

/**
 * Counts what comes in from the first byte, and ends the connection above `limit`. @returns what lifts the limit
 */
export function capBeforeSignIn(engine: EngineSocket, limit: number): () => void {
  let bytes = 0;
  let signedIn = false;
  engine.on('packet', ({ data }) => {
    if (signedIn) return;
    bytes += sizeOf(data);
    if (bytes > limit) terminate(engine);
  });
  return () => {
    signedIn = true;
  };
}

const sizeOf = (data: unknown): number =>
  typeof data === 'string' ? data.length : data instanceof Uint8Array ? data.length : 0;

export function connectionOver(socket: Socket, options: SocketConnectionOptions): Connection {
  const engine = socket.conn as unknown as Engine;
  const early: Uint8Array[] = [];
  const onEnd: ((reason: string) => void)[] = [];
  const waiting: { resolve(): void; reject(error: TacitError): void }[] = [];
  let receive: ((frame: Uint8Array) => void) | undefined;
  let endReason: string | undefined;
  let closeReason: string | undefined;

  const unsent = (): number =>
    engine.writeBuffer.reduce((n, { data }) => n + sizeOf(data), 0) + (engine.transport.socket?.bufferedAmount ?? 0);
  const close = (reason: string): void => {
    if (endReason !== undefined || closeReason !== undefined) return;
    closeReason = reason;
    socket.disconnect(true);
  };
  /** For a peer that breaks the transport's rules: nothing more is read, written or waited for. */
  const cutOff = (reason: string): void => {
    closeReason ??= reason;
    terminate(engine);
  };
  const take = (frame: Uint8Array): void => {
    if (closeReason !== undefined) return;
    if (!receive) {
      if (early.push(frame) > MAX_EARLY_FRAMES) cutOff('too many frames before anyone listens');
      return;
    }
    try {
      receive(frame);
    } catch (thrown) {
      close(`the receiver failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  };

  engine.transport.on('drain', () => {
    if (unsent() <= PAUSE_BYTES) for (const sender of waiting.splice(0)) sender.resolve();
  });
  socket.onAny((event: string, ...payload: unknown[]) => {
    const frame = payload[0];
    const fits = event === 'frame' && payload.length === 1 && frame instanceof Uint8Array;
    if (!fits || frame.length > LIMITS.frameBytes) return cutOff('not a frame');
    take(new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength));
  });
  // Without a listener, an `error` event would end the process.
  socket.on('error', () => cutOff('socket error'));
  socket.on('disconnect', (reason) => {
    endReason = closeReason ?? reason;
    for (const sender of waiting.splice(0)) sender.reject(closedError(endReason));
    for (const ended of onEnd.splice(0)) ended(endReason);
  });

  return {
    remote: options.remote,
    get closed() {
      return endReason !== undefined || closeReason !== undefined;
    },
    async send(frame) {
      if (frame.length > LIMITS.frameBytes) throw new TacitError('wire/too-large', `frame of ${frame.length} bytes`);
      if (endReason !== undefined || closeReason !== undefined) throw closedError(endReason ?? closeReason ?? '');
      socket.emit('frame', Buffer.from(frame.buffer, frame.byteOffset, frame.length));
      const held = unsent();
      if (held > CUT_OFF_BYTES) cutOff('the peer does not read');
      if (held > PAUSE_BYTES) await new Promise<void>((resolve, reject) => waiting.push({ resolve, reject }));
    },
    onFrame(receiver) {
      receive = receiver;
      for (const frame of early.splice(0)) take(frame);
    },
    onClose(ended) {
      if (endReason === undefined) onEnd.push(ended);
      else ended(endReason);
    },
    close: (reason = 'closed') => close(reason),
    signedIn: options.signedIn,
  };
}

const closedError = (reason: string): TacitError => new TacitError('net/closed', `the connection has ended: ${reason}`);
