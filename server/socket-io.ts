/**
 * Connections over socket.io: WebSocket only, one event `frame` with one binary attachment, nothing else.
 * The settings keep what a peer can make the server hold, before it has signed in, at one frame: SPEC.md §2 and §3.
 */
import type { Server as HttpServer, IncomingMessage } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import { Server, type Socket } from 'socket.io';
import { Decoder, Encoder } from 'socket.io-parser';
import type { Listener } from '../protocol/transport.ts';
import { LIMITS } from '../protocol/transport.ts';
import { type OriginPolicy, originAllowed } from './origin.ts';
import { keyedBuckets, type Rate } from './rate-limit.ts';
import { capBeforeSignIn, connectionOver, type EngineSocket } from './socket-connection.ts';

/** Largest WebSocket message: a frame, and what the transport puts around it. */
const MAX_MESSAGE_BYTES = 1.25 * 2 ** 20;

export interface SocketOptions extends OriginPolicy {
  /** Handshakes that one address may make. */
  readonly handshakes?: Rate;
  /** Whether a proxy in front sets `X-Forwarded-For`; its last entry then is the peer's address. */
  readonly behindProxy?: boolean;
  /** Bytes that a peer may send before it has signed in. */
  readonly bytesBeforeSignIn?: number;
}

/** A parser that takes one attachment for each event, instead of ten. */
class OneAttachmentDecoder extends Decoder {
  constructor() {
    super({ maxAttachments: 1 });
  }
}

const addressOf = (request: IncomingMessage, behindProxy: boolean): string => {
  const forwarded = behindProxy ? String(request.headers['x-forwarded-for'] ?? '') : '';
  return forwarded.split(',').at(-1)?.trim() || request.socket.remoteAddress || 'unknown';
};

/** Accepts connections on the WebSocket side of an HTTP server. */
export function socketListener(server: HttpServer | HttpsServer, options: SocketOptions): Listener {
  const { behindProxy = false, bytesBeforeSignIn = LIMITS.bytesBeforeSignIn } = options;
  const handshakes = keyedBuckets(options.handshakes ?? { burst: 300, perSecond: 30 });
  const io = new Server(server, {
    transports: ['websocket'],
    allowUpgrades: false,
    serveClient: false,
    allowEIO3: false,
    maxHttpBufferSize: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    httpCompression: false,
    connectTimeout: 8_000,
    pingInterval: 20_000,
    pingTimeout: 60_000,
    parser: { Encoder, Decoder: OneAttachmentDecoder },
    allowRequest: (request, decide) => {
      if (!originAllowed(request, options)) return decide('origin not allowed', false);
      const wait = handshakes.take(addressOf(request, behindProxy), 1, performance.now());
      return wait > 0 ? decide('too many connections', false) : decide(null, true);
    },
  });
  const caps = new WeakMap<object, () => void>();
  io.engine.on('connection', (engine: EngineSocket) => caps.set(engine, capBeforeSignIn(engine, bytesBeforeSignIn)));
  const early: Socket[] = [];
  let accept: ((socket: Socket) => void) | undefined;
  io.on('connection', (socket) => {
    if (accept) accept(socket);
    else early.push(socket);
  });
  return {
    onConnection(receive) {
      accept = (socket) =>
        receive(
          connectionOver(socket, {
            remote: addressOf(socket.request, behindProxy),
            signedIn: () => caps.get(socket.conn)?.(),
          }),
        );
      for (const socket of early.splice(0)) accept(socket);
    },
    // The HTTP server is closed by whoever opened it.
    close: async () => {
      io.disconnectSockets(true);
      io.engine.close();
    },
  };
}
