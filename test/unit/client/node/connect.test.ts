/** How a Node participant reaches a coordinator, and what it says when it cannot. */
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type ConnectOptions, connectSocket } from '../../../../client/node/connect.ts';
import type { Connection } from '../../../../protocol/transport.ts';
import { socketListener } from '../../../../server/socket-io.ts';
import { CERTIFICATE, CERTIFICATE_KEY } from './certificate.ts';

type AnyServer = Pick<TcpServer, 'listen' | 'address' | 'close' | 'on'>;

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function listen(server: AnyServer): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  open.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** A coordinator's door over TLS that sends every frame back. */
async function secureEcho(): Promise<number> {
  const server = createSecureServer({ key: CERTIFICATE_KEY, cert: CERTIFICATE });
  const listener = socketListener(server, { loopbackOnly: true, origins: [] });
  listener.onConnection((connection) => connection.onFrame((frame) => void connection.send(frame)));
  open.push(() => listener.close());
  return listen(server);
}

async function echoes(connection: Connection): Promise<number[]> {
  const answer = new Promise<Uint8Array>((resolve) => connection.onFrame(resolve));
  await connection.send(Uint8Array.of(1, 2, 3));
  const frame = await answer;
  connection.close();
  return [...frame];
}

const failure = async (url: string, options: ConnectOptions = {}): Promise<{ code: string; message: string }> => {
  try {
    (await connectSocket(url, options)).close();
  } catch (thrown) {
    return thrown as { code: string; message: string };
  }
  throw new Error('it connected');
};

describe('connectSocket', () => {
  it('sends bytes as they are to this machine, without a WebSocket mask', async () => {
    const server = createServer();
    const listener = socketListener(server, { loopbackOnly: true, origins: [] });
    listener.onConnection((connection) => connection.onFrame((frame) => void connection.send(frame)));
    open.push(() => listener.close());
    const port = await listen(server);
    const sent: Buffer[] = [];
    const tap = await listen(
      createTcpServer((socket) => {
        const onward = connect(port, '127.0.0.1');
        socket.on('data', (bytes) => sent.push(bytes)).on('error', () => onward.destroy());
        socket.pipe(onward).pipe(socket);
      }),
    );
    expect(await echoes(await connectSocket(`http://127.0.0.1:${tap}`))).toEqual([1, 2, 3]);
    // FIN, binary, masked, 3 bytes; the mask, zero; the bytes
    expect(Buffer.concat(sent).includes(Buffer.of(0x82, 0x83, 0, 0, 0, 0, 1, 2, 3))).toBe(true);
  });

  it('says that nobody listens', async () => {
    const port = await listen(createServer());
    await open.pop()!();
    expect(await failure(`http://127.0.0.1:${port}`)).toMatchObject({
      code: 'net/unreachable',
      message: expect.stringContaining('nobody is listening'),
    });
  });

  it('says that what listens is no coordinator', async () => {
    const server = createServer((_, response) => response.writeHead(404).end());
    server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 404 Not Found\r\n\r\n'));
    expect(await failure(`http://127.0.0.1:${await listen(server)}`)).toMatchObject({ code: 'net/unreachable' });
  });

  it('refuses plain http to another machine before it sends anything', async () => {
    expect(await failure('http://192.0.2.1:8080')).toMatchObject({ code: 'net/insecure' });
  });

  it('trusts a certificate of its own authority only when that is given', async () => {
    const url = `https://127.0.0.1:${await secureEcho()}`;
    expect(await failure(url)).toMatchObject({ code: 'net/tls' });
    expect(await echoes(await connectSocket(url, { ca: CERTIFICATE }))).toEqual([1, 2, 3]);
  });

  it('goes through a proxy, which sees a host name and then nothing but TLS', async () => {
    const target = await secureEcho();
    const asked: string[] = [];
    const through: Buffer[] = [];
    const proxy = createServer();
    proxy.on('connect', (request, socket) => {
      asked.push(request.url ?? '');
      const onward = connect(target, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        socket.on('data', (piece: Buffer) => through.push(piece));
        socket.pipe(onward).pipe(socket);
      });
      onward.on('error', () => socket.destroy());
      socket.on('error', () => onward.destroy());
    });
    const address = `http://127.0.0.1:${await listen(proxy)}`;
    const url = `https://localhost:${target}`;
    expect(await echoes(await connectSocket(url, { ca: CERTIFICATE, proxy: address }))).toEqual([1, 2, 3]);
    expect(asked).toEqual([`localhost:${target}`]);
    expect(Buffer.concat(through).includes('frame')).toBe(false);

    expect(await failure(url, { ca: CERTIFICATE, proxy: 'http://127.0.0.1:1' })).toMatchObject({
      code: 'net/unreachable',
    });
    expect(await failure(url, { ca: CERTIFICATE, proxy: 'nonsense' })).toMatchObject({ code: 'usage/unknown-flag' });
  });

  it('stops when it is told to', async () => {
    const server = createServer();
    server.on('upgrade', () => {});
    const stop = new AbortController();
    const failed = failure(`http://127.0.0.1:${await listen(server)}`, { signal: stop.signal });
    stop.abort();
    expect(await failed).toMatchObject({ code: 'net/closed' });
    expect(await failure('http://127.0.0.1:1', { signal: stop.signal })).toMatchObject({ code: 'net/closed' });
  });
});
