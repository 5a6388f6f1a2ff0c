/** A bare WebSocket client over TCP, so that a test can send what no client library would. Node 20 has none of its own. */
import { Socket } from 'node:net';

export interface RawWebSocket {
  /** Sends one whole message: text for a string, binary for bytes. */
  send(message: string | Uint8Array): void;
  /** Stops reading from the connection. */
  pause(): void;
  readonly closed: Promise<void>;
  /** Resolves with everything received so far once something was. */
  readonly firstBytes: Promise<Buffer>;
  destroy(): void;
}

/** One masked frame (mask zero, so the payload travels as it is). */
function frameOf(message: string | Uint8Array): Buffer {
  const payload = Buffer.from(message);
  const opcode = typeof message === 'string' ? 0x81 : 0x82;
  const length =
    payload.length < 126
      ? Buffer.of(opcode, 0x80 | payload.length)
      : payload.length < 65_536
        ? Buffer.of(opcode, 0x80 | 126, payload.length >> 8, payload.length & 255)
        : Buffer.concat([Buffer.of(opcode, 0x80 | 127, 0, 0, 0, 0), uint32be(payload.length)]);
  return Buffer.concat([length, Buffer.alloc(4), payload]);
}

function uint32be(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Headers of a WebSocket handshake. */
export const HANDSHAKE: Readonly<Record<string, string>> = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
};

/** Opens a WebSocket at engine.io's door. `host` is `name:port`. */
export async function rawWebSocket(host: string): Promise<RawWebSocket> {
  const [name, port] = host.split(':');
  const socket = new Socket();
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(Number(port), name ?? '', resolve);
  });
  socket.on('error', () => {});
  const headers = Object.entries({ Host: host, ...HANDSHAKE }).map(([key, value]) => `${key}: ${value}\r\n`);
  socket.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n${headers.join('')}\r\n`);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const firstBytes = new Promise<Buffer>((resolve) => socket.once('data', resolve));
  await Promise.race([firstBytes, closed]);
  socket.resume();
  return {
    send: (message) => void socket.write(frameOf(message)),
    pause: () => void socket.pause(),
    closed,
    firstBytes,
    destroy: () => void socket.destroy(),
  };
}
