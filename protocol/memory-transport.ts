/**
 * Frames without a network: pairs of connections inside one process, for tests and simulations.
 * Frames are copied, ordered and bounded as on a wire; a sender waits once 16 frames lie undelivered.
 */
import { TacitError } from './errors.ts';
import type { Connection, Listener } from './transport.ts';
import { LIMITS } from './transport.ts';

const HIGH_WATER = 16;

const closedError = (): TacitError => new TacitError('net/closed', 'the connection has ended');

interface Waiting {
  resolve(): void;
  reject(error: TacitError): void;
}

/** What one side has yet to receive: frames, then perhaps the end. */
interface Inbox {
  push(frame: Uint8Array): Promise<void>;
  /** No more will be pushed; the end is reported after the last frame. */
  end(reason: string): void;
  /** Nothing more is wanted: what is queued is lost. */
  stop(reason: string): void;
  onFrame(receive: (frame: Uint8Array) => void): void;
  onEnd(ended: (reason: string) => void): void;
  readonly stopped: boolean;
}

function createInbox(onReceiverFailure: (reason: string) => void): Inbox {
  let queue: Uint8Array[] = [];
  const waiting: Waiting[] = [];
  let receive: ((frame: Uint8Array) => void) | undefined;
  const ended: ((reason: string) => void)[] = [];
  let endReason: string | undefined;
  let stopped = false;
  let pumping = false;

  const reportEnd = (): void => {
    if (endReason === undefined || queue.length > 0) return;
    for (const listener of ended.splice(0)) listener(endReason);
  };
  const pump = async (): Promise<void> => {
    if (pumping) return;
    pumping = true;
    for (;;) {
      await null; // one frame per turn: a receiver never runs inside the sender's call
      const frame = receive && queue.shift();
      if (!frame) break;
      if (queue.length < HIGH_WATER) for (const sender of waiting.splice(0)) sender.resolve();
      try {
        receive?.(frame);
      } catch (error) {
        onReceiverFailure(`the receiver failed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    pumping = false;
    reportEnd();
  };
  return {
    get stopped() {
      return stopped || (endReason !== undefined && queue.length === 0);
    },
    push(frame) {
      if (stopped || endReason !== undefined) return Promise.reject(closedError());
      queue.push(frame);
      void pump();
      if (queue.length < HIGH_WATER) return Promise.resolve();
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    end(reason) {
      endReason ??= reason;
      void pump();
    },
    stop(reason) {
      stopped = true;
      endReason ??= reason;
      queue = [];
      for (const sender of waiting.splice(0)) sender.reject(closedError());
      void pump();
    },
    onFrame(receiver) {
      receive = receiver;
      void pump();
    },
    onEnd(listener) {
      ended.push(listener);
      void pump();
    },
  };
}

function createSide(remote: string, own: Inbox, other: Inbox): Connection {
  return {
    remote,
    get closed() {
      return own.stopped;
    },
    send(frame) {
      if (frame.length > LIMITS.frameBytes) {
        return Promise.reject(new TacitError('wire/too-large', `frame of ${frame.length} bytes`));
      }
      return own.stopped ? Promise.reject(closedError()) : other.push(frame);
    },
    onFrame: (receive) => own.onFrame(receive),
    onClose: (ended) => own.onEnd(ended),
    close(reason = 'closed') {
      other.end(reason);
      own.stop(reason);
    },
  };
}

/** Two ends of one connection. */
export function memoryPair(names: readonly [string, string] = ['memory:a', 'memory:b']): [Connection, Connection] {
  const toFirst = createInbox((reason) => first.close(reason));
  const toSecond = createInbox((reason) => second.close(reason));
  const first = createSide(names[1], toFirst, toSecond);
  const second = createSide(names[0], toSecond, toFirst);
  return [first, second];
}

/** A listener inside this process; `connect` gives the participant's end. */
export interface MemoryListener extends Listener {
  /** @throws TacitError net/unreachable once the listener is closed */
  connect(): Connection;
}

/** A coordinator's door for participants in the same process. */
export function memoryListener(name = 'memory'): MemoryListener {
  const connections = new Set<Connection>();
  const early: Connection[] = [];
  let accept: ((connection: Connection) => void) | undefined;
  let closed = false;
  let count = 0;
  return {
    connect() {
      if (closed) throw new TacitError('net/unreachable', `nobody listens at ${name}`);
      count += 1;
      const [near, far] = memoryPair([`${name}:${count}`, name]);
      connections.add(far);
      if (accept) accept(far);
      else early.push(far);
      return near;
    },
    onConnection(receiver) {
      accept = receiver;
      for (const connection of early.splice(0)) receiver(connection);
    },
    async close() {
      closed = true;
      for (const connection of connections) connection.close('the listener closed');
      connections.clear();
    },
  };
}
