/** SPEC.md §2 as another program would do it: packets written by hand on a bare WebSocket. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { decodeClientFrame, encodeFrame } from '../../protocol/codec.ts';
import { createHttp } from '../../server/http.ts';
import { socketListener } from '../../server/socket-io.ts';
import { rawWebSocket } from '../unit/server/raw-web-socket.ts';

test('[TP2] a frame is one binary event of socket.io; anything else ends the connection', async () => {
  const server = createServer();
  const listener = socketListener(server, { loopbackOnly: true, origins: [] });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const frames: Uint8Array[] = [];
  const connected = new Promise<void>((resolve) => {
    listener.onConnection((connection) => {
      connection.onFrame((frame) => frames.push(frame));
      resolve();
    });
  });
  const peer = await rawWebSocket(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  peer.send('40');
  await connected;
  peer.send('451-["frame",{"_placeholder":true,"num":0}]');
  peer.send(encodeFrame({ type: 'bye', id: 5 }));
  await expect.poll(() => frames.length).toBe(1);
  expect(decodeClientFrame(frames[0]!).message).toEqual({ type: 'bye', id: 5 });
  peer.send('42["frame","text"]');
  await peer.closed;
  await listener.close();
  server.closeAllConnections();
  server.close();
});

test('[TP3] plain http is not served beyond this machine', async () => {
  await expect(createHttp({ port: 0, host: '0.0.0.0' })).rejects.toMatchObject({ code: 'net/insecure' });
});
