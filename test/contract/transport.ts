/**
 * What every transport owes the protocol (protocol/transport.ts), as a suite that each implementation runs.
 * `makePair` opens one connection and returns both ends, with a way to tear everything down.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { type Connection, LIMITS } from '../../protocol/transport.ts';

export interface TransportPair {
  /** The end that connected. */
  readonly near: Connection;
  /** The end that was accepted. */
  readonly far: Connection;
  dispose(): Promise<void>;
}

/** Reads frames one at a time, in order. */
function reader(connection: Connection): { next(): Promise<Uint8Array>; readonly count: number } {
  const frames: Uint8Array[] = [];
  const waiting: ((frame: Uint8Array) => void)[] = [];
  let count = 0;
  connection.onFrame((frame) => {
    count += 1;
    const take = waiting.shift();
    if (take) take(frame);
    else frames.push(frame);
  });
  return {
    get count() {
      return count;
    },
    next: () => {
      const frame = frames.shift();
      return frame ? Promise.resolve(frame) : new Promise((resolve) => waiting.push(resolve));
    },
  };
}

const ended = (connection: Connection): Promise<string> => new Promise((resolve) => connection.onClose(resolve));

/** A frame whose content depends on its number, so that a mix-up shows. */
const numbered = (n: number, length = 16): Uint8Array => {
  const frame = new Uint8Array(length);
  for (let i = 0; i < length; i++) frame[i] = (n * 31 + i * 7) & 0xff;
  new DataView(frame.buffer).setUint32(0, n, true);
  return frame;
};

/** Compares bytes at native speed; a transport may hand out any kind of Uint8Array. */
const expectFrame = (received: Uint8Array, sent: Uint8Array): void => {
  expect(received).toBeInstanceOf(Uint8Array);
  expect(Buffer.compare(received, sent), `frame ${received.subarray(0, 4)} instead of ${sent.subarray(0, 4)}`).toBe(0);
};

export function transportContract(name: string, makePair: () => Promise<TransportPair>): void {
  describe(`[TP1] transport: ${name}`, () => {
    const open: TransportPair[] = [];
    const pair = async (): Promise<TransportPair> => {
      const made = await makePair();
      open.push(made);
      return made;
    };
    afterEach(async () => {
      for (const { dispose } of open.splice(0)) await dispose();
    });

    test('carries frames both ways at once, in order', async () => {
      const { near, far } = await pair();
      const atNear = reader(near);
      const atFar = reader(far);
      for (let i = 0; i < 200; i++) {
        await Promise.all([near.send(numbered(i, 16 + i)), far.send(numbered(1000 + i, 300 - i))]);
      }
      for (let i = 0; i < 200; i++) {
        expectFrame(await atFar.next(), numbered(i, 16 + i));
        expectFrame(await atNear.next(), numbered(1000 + i, 300 - i));
      }
    });

    test('keeps the order of frames that are not awaited, whatever their sizes', async () => {
      const { near, far } = await pair();
      const atFar = reader(far);
      const sizes = Array.from({ length: 60 }, (_, i) => (i % 7 === 0 ? 200_000 : 8 + i));
      const sent = sizes.map((size, i) => near.send(numbered(i, size)));
      for (const [i, size] of sizes.entries()) expectFrame(await atFar.next(), numbered(i, size));
      await Promise.all(sent);
    });

    test('delivers plain byte arrays that stay as they were sent, and leaves the sent ones as they were', async () => {
      const { near, far } = await pair();
      const atFar = reader(far);
      const frame = numbered(1, 5000);
      await near.send(frame);
      const received = await atFar.next();
      expectFrame(received, numbered(1, 5000));
      const second = near.send(numbered(2, 5000));
      expectFrame(await atFar.next(), numbered(2, 5000));
      await second;
      expectFrame(received, numbered(1, 5000));
      expectFrame(frame, numbered(1, 5000));
    });

    test('takes a frame of the largest size and refuses one byte more, and stays usable', async () => {
      const { near, far } = await pair();
      const atFar = reader(far);
      await near.send(numbered(7, LIMITS.frameBytes));
      expectFrame(await atFar.next(), numbered(7, LIMITS.frameBytes));
      await expect(near.send(new Uint8Array(LIMITS.frameBytes + 1))).rejects.toMatchObject({ code: 'wire/too-large' });
      await near.send(numbered(8));
      expectFrame(await atFar.next(), numbered(8));
      expect(atFar.count).toBe(2);
    });

    test('keeps frames that come before the receiver is set', async () => {
      const { near, far } = await pair();
      for (let i = 0; i < 5; i++) await near.send(numbered(i));
      await new Promise((resolve) => setTimeout(resolve, 50));
      const atFar = reader(far);
      for (let i = 0; i < 5; i++) expectFrame(await atFar.next(), numbered(i));
    });

    test('carries many frames, more than any queue holds', async () => {
      const { near, far } = await pair();
      const total = 2000;
      let received = 0;
      const all = new Promise<void>((resolve, reject) => {
        far.onFrame((frame) => {
          const number = new DataView(frame.buffer, frame.byteOffset).getUint32(0, true);
          if (number !== received) reject(new Error(`frame ${number} instead of ${received}`));
          received += 1;
          if (received === total) resolve();
        });
      });
      for (let i = 0; i < total; i++) await near.send(numbered(i));
      await all;
      expect(received).toBe(total);
    });

    test('a sender that waits for each send gets 32 MiB through', async () => {
      const { near, far } = await pair();
      let bytes = 0;
      const all = new Promise<void>((resolve) => {
        far.onFrame((frame) => {
          bytes += frame.length;
          if (bytes === 32 * 2 ** 20) resolve();
        });
      });
      for (let i = 0; i < 32; i++) await near.send(numbered(i, 2 ** 20));
      await all;
      expect(bytes).toBe(32 * 2 ** 20);
    });

    for (const closer of ['near', 'far'] as const) {
      test(`what was sent before ${closer} closes arrives, then both ends hear of the end, once`, async () => {
        const both = await pair();
        const [from, to] = closer === 'near' ? [both.near, both.far] : [both.far, both.near];
        const log: string[] = [];
        to.onFrame((frame) => log.push(`frame ${frame[0]}`));
        to.onClose(() => log.push('end'));
        let ends = 0;
        from.onClose(() => {
          ends += 1;
        });
        await Promise.all([from.send(Uint8Array.of(1)), from.send(Uint8Array.of(2))]);
        from.close('done');
        from.close('done again');
        await Promise.all([ended(to).catch(() => ''), new Promise((resolve) => setTimeout(resolve, 100))]);
        expect(log).toEqual(['frame 1', 'frame 2', 'end']);
        expect(ends).toBe(1);
        expect([from.closed, to.closed]).toEqual([true, true]);
      });

      test(`after ${closer} has closed, sending fails with net/closed at both ends`, async () => {
        const both = await pair();
        const [from, to] = closer === 'near' ? [both.near, both.far] : [both.far, both.near];
        const end = ended(to);
        to.onFrame(() => {});
        from.close();
        await expect(from.send(numbered(1))).rejects.toMatchObject({ code: 'net/closed' });
        await end;
        await expect(to.send(numbered(1))).rejects.toMatchObject({ code: 'net/closed' });
      });
    }

    test('onClose of a connection that has ended already is called at once', async () => {
      const { near, far } = await pair();
      far.onFrame(() => {});
      const end = ended(far);
      near.close('bye');
      await end;
      expect(typeof (await ended(near))).toBe('string');
    });

    test('a receiver that throws ends its own connection and nothing else', async () => {
      const one = await pair();
      const other = await pair();
      one.far.onFrame(() => {
        throw new Error('cannot be handled');
      });
      const end = ended(one.near);
      await one.near.send(numbered(1));
      await end;
      const atFar = reader(other.far);
      await other.near.send(numbered(2));
      expectFrame(await atFar.next(), numbered(2));
    });
  });
}
