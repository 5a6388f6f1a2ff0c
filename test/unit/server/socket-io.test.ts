/** What a hostile peer can do at the level of WebSockets and socket.io packets, before any message of the protocol. */
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectSocket } from '../../../client/node/connect.ts';
import type { Connection, Listener } from '../../../protocol/transport.ts';
import { socketListener } from '../../../server/socket-io.ts';
import { HANDSHAKE, type RawWebSocket, rawWebSocket } from './raw-web-socket.ts';

let server: Server;
let listener: Listener;
let base: string;
let connections: Connection[];

const start = async (options: Partial<Parameters<typeof socketListener>[1]> = {}): Promise<void> => {
  server = createServer();
  listener = socketListener(server, { loopbackOnly: true, origins: [], ...options });
  connections = [];
  listener.onConnection((connection) => {
    connections.push(connection);
    connection.onFrame(() => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `127.0.0.1:${(server.address() as AddressInfo).port}`;
};
beforeEach(() => start());
afterEach(async () => {
  await listener.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** A peer that has joined the namespace, so that its packets reach the listener. */
async function joinedPeer(): Promise<RawWebSocket> {
  const peer = await rawWebSocket(base);
  peer.send('40');
  while (connections.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  return peer;
}

/** @returns the status of the answer; 101 when the handshake went through */
const handshake = (headers: Record<string, string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const request = get(`http://${base}/socket.io/?EIO=4&transport=websocket`, {
      headers: { ...HANDSHAKE, ...headers },
    });
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response.statusCode ?? 0);
    });
    request.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', reject);
  });

describe('handshakes', () => {
  test('without an Origin, and from pages of this server, go through', async () => {
    expect(await handshake({})).toBe(101);
    expect(await handshake({ Origin: `http://${base}` })).toBe(101);
  });

  test('from pages of other sites are refused', async () => {
    expect(await handshake({ Origin: 'https://evil.example' })).toBeGreaterThanOrEqual(400);
    expect(await handshake({ Origin: 'null' })).toBeGreaterThanOrEqual(400);
  });

  test('to another name than this machine are refused on loopback, whatever the Origin says (DNS rebinding)', async () => {
    const port = base.split(':')[1];
    const headers = { Host: `evil.example:${port}`, Origin: `http://evil.example:${port}` };
    expect(await handshake(headers)).toBeGreaterThanOrEqual(400);
    expect(await handshake({ Host: `evil.example:${port}` })).toBeGreaterThanOrEqual(400);
  });

  test('beyond the rate of one address are refused', async () => {
    await listener.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await start({ handshakes: { burst: 3, perSecond: 0.001 } });
    const results = [];
    for (let i = 0; i < 5; i++) results.push(await handshake({}));
    expect(results.map((status) => status === 101)).toEqual([true, true, true, false, false]);
  });

  test('for long polling are refused', async () => {
    const response = await fetch(`http://${base}/socket.io/?EIO=4&transport=polling`);
    expect(response.status).toBe(400);
  });
});

describe('packets', () => {
  const breaches: [string, (socket: RawWebSocket) => void][] = [
    ['an unknown event', (s) => s.send('42["rounds",1]')],
    ['a frame that is text', (s) => s.send('42["frame","text"]')],
    ['a frame that asks for an acknowledgement', (s) => sendBinary(s, '451-7["frame",{"_placeholder":true,"num":0}]')],
    ['two attachments', (s) => s.send('452-["frame",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')],
    ['a second argument', (s) => sendBinary(s, '451-["frame",{"_placeholder":true,"num":0},1]')],
    ['something that is no packet', (s) => s.send('4x')],
    ['binary out of turn', (s) => s.send(new Uint8Array(10))],
    ['a message above the size limit', (s) => s.send(new Uint8Array(1.3 * 2 ** 20))],
  ];
  for (const [what, send] of breaches) {
    test(`${what} ends the connection, and only that one`, async () => {
      const peer = await joinedPeer();
      const other = await connectSocket(`http://${base}`);
      send(peer);
      await peer.closed;
      while (connections.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(other.closed).toBe(false);
      expect(connections[1]?.closed).toBe(false);
      other.close();
    });
  }

  test('more bytes than are allowed before sign-in end the connection; after sign-in they do not', async () => {
    const first = await connectSocket(`http://${base}`);
    const ended = new Promise((resolve) => first.onClose(resolve));
    for (let i = 0; i < 10; i++) await first.send(new Uint8Array(10_000)).catch(() => {});
    await ended;

    const second = await connectSocket(`http://${base}`);
    while (connections.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    connections[1]!.signedIn!();
    let bytes = 0;
    const all = new Promise<void>((resolve) => {
      connections[1]!.onFrame((frame) => {
        bytes += frame.length;
        if (bytes === 100_000) resolve();
      });
    });
    for (let i = 0; i < 10; i++) await second.send(new Uint8Array(10_000));
    await all;
    second.close();
  });

  test('junk in other namespaces counts towards the cap too', async () => {
    const peer = await rawWebSocket(base);
    let open = true;
    peer.closed.then(() => {
      open = false;
    });
    let sent = 0;
    for (; sent < 200 && open; sent++) {
      peer.send(`40/${'x'.repeat(1000)},`);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await peer.closed;
    expect(connections).toEqual([]);
  });
});

describe('a peer that does not read', () => {
  test('holds its own sender back, and is cut off before it holds 100 MB', async () => {
    const peer = await joinedPeer();
    peer.pause();
    const connection = connections[0]!;
    const frame = new Uint8Array(2 ** 20);
    let settled = 0;
    const sends = Array.from({ length: 100 }, () =>
      connection.send(frame).then(
        () => settled++,
        (error: { code: string }) => expect(error.code).toBe('net/closed'),
      ),
    );
    await new Promise((resolve) => connection.onClose(resolve));
    await Promise.all(sends);
    expect(settled).toBeLessThan(20);
    peer.destroy();
  });
});

function sendBinary(socket: RawWebSocket, header: string): void {
  socket.send(header);
  socket.send(new Uint8Array(10));
}
