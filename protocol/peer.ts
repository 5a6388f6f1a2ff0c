/**
 * A connection that speaks messages: frames decoded, replies matched to requests, time limits kept.
 * A participant's peer asks and is answered; a coordinator's peer receives requests and sends messages. Whatever the other side
 * sends, nothing here throws into the transport and nothing grows without bound.
 */
import { type Decoded, decodeClientFrame, decodeServerFrame, encodeFrame } from './codec.ts';
import { asTacitError, isErrorCode, TacitError } from './errors.ts';
import {
  type ClientMessage,
  type ClientMessageOf,
  REPLY_TO,
  type ReplyTo,
  type ServerMessage,
  type ServerMessageOf,
} from './messages.ts';
import type { Connection } from './transport.ts';

/** Requests of one participant that may be unanswered at a time. */
export const MAX_PENDING = 32;
/** Messages that are kept before `onMessage` is called. */
const MAX_EARLY = 64;
const DEFAULT_TIMEOUT_MS = 30_000;

/** A request without its `id`, which the peer numbers. */
export type Request<T extends ClientMessage['type']> = Omit<ClientMessageOf<T>, 'id'> & { readonly type: T };

export interface PeerOptions {
  /** A frame that is not a message of the protocol, or a fault while one was handled (`internal`). Default: the connection is closed. */
  readonly onMalformed?: (error: TacitError) => void;
}

interface PeerBase<In> {
  readonly connection: Connection;
  /** Exactly one receiver of the messages that are no replies; earlier ones are kept. */
  onMessage(receive: (decoded: Decoded<In>) => void): void;
  /** @returns a function that takes `ended` off again */
  onClose(ended: (reason: string) => void): () => void;
  close(reason?: string): void;
}

/** The participant's side. */
export interface ParticipantPeer extends PeerBase<ServerMessage> {
  /**
   * Sends a request and waits for its reply.
   * @throws TacitError the code of an `error` reply, net/timeout, net/closed, wire/unexpected (reply of another type)
   */
  request<T extends ClientMessage['type']>(
    message: Request<T>,
    body?: Uint8Array,
    options?: { readonly timeoutMs?: number },
  ): Promise<Decoded<ReplyTo<T>>>;
}

/** The coordinator's side. */
export interface CoordinatorPeer extends PeerBase<ClientMessage> {
  /** Sends a reply or a notification; resolves when the transport can take more. @throws TacitError net/closed */
  send(message: ServerMessage, body?: Uint8Array): Promise<void>;
  /** Sends an `error`, as the reply to a request when `re` is given. */
  sendError(error: TacitError, re?: number): Promise<void>;
}

/** The part that both sides share: decoding, keeping early messages, containing faults. */
function receiveFrom<In>(
  connection: Connection,
  decode: (frame: Uint8Array) => Decoded<In>,
  take: (decoded: Decoded<In>) => boolean,
  options: PeerOptions,
): PeerBase<In> {
  const early: Decoded<In>[] = [];
  const onEnd = new Set<(reason: string) => void>();
  let receive: ((decoded: Decoded<In>) => void) | undefined;
  let endReason: string | undefined;
  const onMalformed = options.onMalformed ?? ((error: TacitError) => connection.close(error.code));
  const contained = (action: () => void): void => {
    try {
      action();
    } catch (thrown) {
      onMalformed(asTacitError(thrown));
    }
  };
  const onFrame = (frame: Uint8Array): void => {
    const decoded = decode(frame);
    if (take(decoded)) return;
    if (receive) receive(decoded);
    else if (early.length < MAX_EARLY) early.push(decoded);
    else throw new TacitError('wire/unexpected', 'too many messages before anyone listens');
  };
  connection.onClose((reason) => {
    endReason = reason;
    const listeners = [...onEnd];
    onEnd.clear();
    for (const ended of listeners) ended(reason);
  });
  connection.onFrame((frame) => contained(() => onFrame(frame)));
  return {
    connection,
    onMessage(receiver) {
      receive = receiver;
      for (const decoded of early.splice(0)) contained(() => receiver(decoded));
    },
    onClose(ended) {
      if (endReason === undefined) onEnd.add(ended);
      else ended(endReason);
      return () => void onEnd.delete(ended);
    },
    close: (reason) => connection.close(reason),
  };
}

/** The error that an `error` message stands for. */
export function errorOf(message: ServerMessageOf<'error'>): TacitError {
  const code = isErrorCode(message.code) ? message.code : 'internal';
  const versions = message.supportedVersions?.join(', ');
  // It ends up in a terminal, which must not take orders from it.
  const text = message.text.replace(/[^\P{Cc}\n]/gu, ' ');
  return new TacitError(code, text, {
    ...(message.retryAfterMs === undefined ? {} : { retryAfterMs: message.retryAfterMs }),
    ...(versions === undefined ? {} : { hint: `The coordinator speaks version ${versions}.` }),
  });
}

interface Pending {
  readonly type: ClientMessage['type'];
  resolve(reply: Decoded<ServerMessage>): void;
  reject(error: TacitError): void;
}

/** Wraps a participant's end of a connection. */
export function participantPeer(connection: Connection, options: PeerOptions = {}): ParticipantPeer {
  const pending = new Map<number, Pending>();
  let lastId = 0;
  const take = (decoded: Decoded<ServerMessage>): boolean => {
    const { message } = decoded;
    if (!('re' in message) || message.re === undefined) return false;
    const waiting = pending.get(message.re);
    if (!waiting) {
      if (message.re > lastId) throw new TacitError('wire/unexpected', 'a reply to nothing that was asked');
      return true; // the reply to a request that has timed out
    }
    if (message.type === 'error') waiting.reject(errorOf(message));
    else if (message.type === REPLY_TO[waiting.type]) waiting.resolve(decoded);
    else waiting.reject(new TacitError('wire/unexpected', `"${message.type}" in reply to "${waiting.type}"`));
    return true;
  };
  const base = receiveFrom(connection, decodeServerFrame, take, options);
  base.onClose((reason) => {
    for (const { reject } of [...pending.values()]) reject(new TacitError('net/closed', reason));
  });

  const request = <T extends ClientMessage['type']>(
    message: Request<T>,
    body?: Uint8Array,
    { timeoutMs = DEFAULT_TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
  ): Promise<Decoded<ReplyTo<T>>> => {
    if (pending.size >= MAX_PENDING) {
      return Promise.reject(new TacitError('wire/rate-limited', `${MAX_PENDING} requests are unanswered`));
    }
    lastId += 1;
    const id = lastId;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        pending.delete(id);
      };
      const fail = (error: TacitError): void => {
        settle();
        reject(error);
      };
      const timer = setTimeout(
        () => fail(new TacitError('net/timeout', `no reply to "${message.type}" in ${timeoutMs} ms`)),
        timeoutMs,
      );
      pending.set(id, {
        type: message.type,
        reject: fail,
        resolve: (reply) => {
          settle();
          resolve(reply as Decoded<ReplyTo<T>>);
        },
      });
      const full = { ...message, id } as unknown as ClientMessage;
      Promise.resolve()
        .then(() => connection.send(encodeFrame(full, body)))
        .catch((thrown: unknown) => fail(asTacitError(thrown)));
    });
  };
  return { ...base, request };
}

/** Wraps a coordinator's end of a connection. */
export function coordinatorPeer(connection: Connection, options: PeerOptions = {}): CoordinatorPeer {
  const base = receiveFrom<ClientMessage>(connection, decodeClientFrame, () => false, options);
  const send = async (message: ServerMessage, body?: Uint8Array): Promise<void> => {
    await connection.send(encodeFrame(message, body));
  };
  return {
    ...base,
    send,
    sendError: (error, re) =>
      send({
        type: 'error',
        ...(re === undefined ? {} : { re }),
        code: error.code,
        // What went wrong inside is for our own log, not for the other side.
        text: error.code === 'internal' ? 'A defect of the coordinator.' : error.message.slice(0, 500),
        ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: Math.max(0, Math.round(error.retryAfterMs)) }),
      }),
  };
}
