import { describe, expect, test } from 'vitest';
import { memoryListener, memoryPair } from '../../protocol/memory-transport.ts';
import type { Connection } from '../../protocol/transport.ts';
import { transportContract } from './transport.ts';

transportContract('memory', async () => {
  const listener = memoryListener();
  const accepted = new Promise<Connection>((resolve) => listener.onConnection(resolve));
  const near = listener.connect();
  return { near, far: await accepted, dispose: () => listener.close() };
});

describe('memory transport', () => {
  test('a sender waits while nobody takes its frames, and goes on when somebody does', async () => {
    const [near, far] = memoryPair();
    let sent = 0;
    const sending = (async () => {
      for (let i = 0; i < 100; i++) {
        await near.send(Uint8Array.of(i));
        sent += 1;
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sent).toBeLessThan(20);
    const received: number[] = [];
    far.onFrame((frame) => received.push(frame[0]!));
    await sending;
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(received).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  test('a waiting sender is told when the other side closes', async () => {
    const [near, far] = memoryPair();
    const sends = Array.from({ length: 30 }, (_, i) => near.send(Uint8Array.of(i)));
    const outcomes = Promise.allSettled(sends);
    far.close();
    expect((await outcomes).filter(({ status }) => status === 'rejected').length).toBeGreaterThan(10);
  });

  test('a listener keeps early connections, closes all of them, and then is unreachable', async () => {
    const listener = memoryListener('here');
    const near = listener.connect();
    const accepted: Connection[] = [];
    listener.onConnection((connection) => accepted.push(connection));
    expect(accepted.map(({ remote }) => remote)).toEqual(['here:1']);
    const end = new Promise((resolve) => near.onClose(resolve));
    await listener.close();
    await end;
    expect(() => listener.connect()).toThrow(expect.objectContaining({ code: 'net/unreachable' }));
  });
});
