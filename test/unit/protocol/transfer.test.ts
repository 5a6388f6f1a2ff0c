import { describe, expect, test } from 'vitest';
import { createBlobShelf } from '../../../protocol/blob-shelf.ts';
import { equalBytes } from '../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { asTacitError, TacitError } from '../../../protocol/errors.ts';
import type { ParticipantId } from '../../../protocol/ids.ts';
import { memoryPair } from '../../../protocol/memory-transport.ts';
import type { BlobRef, ClientMessage } from '../../../protocol/messages.ts';
import {
  type CoordinatorPeer,
  coordinatorPeer,
  type ParticipantPeer,
  participantPeer,
} from '../../../protocol/peer.ts';
import { pullBlob, pushReport, startBlob } from '../../../protocol/transfer.ts';
import { LIMITS } from '../../../protocol/transport.ts';
import { createUploadDesk, type UploadDesk } from '../../../protocol/upload-desk.ts';

const crypto = nodeCrypto;
const CHUNK = LIMITS.chunkBytes;
const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13) & 0xff);

type Answer = (message: ClientMessage, body: Uint8Array | undefined, peer: CoordinatorPeer) => void | Promise<void>;

/** A connection whose coordinator answers with `answer`; what it throws becomes an error reply. */
function connect(answer: Answer): { peer: ParticipantPeer; coordinator: CoordinatorPeer } {
  const [near, far] = memoryPair();
  const coordinator = coordinatorPeer(far);
  coordinator.onMessage(({ message, body }) => {
    (async () => answer(message, body, coordinator))().catch((error: unknown) =>
      coordinator.sendError(asTacitError(error), message.id).catch(() => {}),
    );
  });
  return { peer: participantPeer(near), coordinator };
}

describe('pulling a blob', () => {
  async function shelfWith(bytes: Uint8Array) {
    const shelf = createBlobShelf(crypto);
    const ref = await shelf.add('model', bytes);
    return { shelf, ref };
  }
  const serve =
    (shelf: ReturnType<typeof createBlobShelf>, log: number[] = []): Answer =>
    async (message, _, peer) => {
      if (message.type !== 'ask') throw new TacitError('wire/unexpected', message.type);
      log.push(message.offset);
      const { body, bytes } = shelf.chunk(message.hash, message.offset);
      await peer.send({ type: 'chunk', re: message.id, hash: message.hash, offset: message.offset, bytes }, body);
    };

  test.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 17])('[TR1] of %i bytes', async (length) => {
    const { shelf, ref } = await shelfWith(bytesOf(length));
    const log: number[] = [];
    const progress: number[] = [];
    const { peer } = connect(serve(shelf, log));
    const pulled = await pullBlob(peer, ref, { crypto, onProgress: (n) => progress.push(n) });
    expect(equalBytes(pulled, bytesOf(length))).toBe(true);
    expect(log).toEqual(Array.from({ length: Math.ceil(length / CHUNK) }, (_, i) => i * CHUNK));
    expect(progress.at(-1) ?? 0).toBe(length);
  });

  test('never has more than four chunks under way', async () => {
    const { shelf, ref } = await shelfWith(bytesOf(20 * CHUNK));
    let underWay = 0;
    let most = 0;
    const { peer } = connect(async (message, body, coordinator) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setTimeout(resolve, 1));
      underWay -= 1;
      await serve(shelf)(message, body, coordinator);
    });
    await pullBlob(peer, ref, { crypto });
    expect(most).toBe(LIMITS.window);
  });

  test('goes on over another connection where the first one ended', async () => {
    const { shelf, ref } = await shelfWith(bytesOf(10 * CHUNK));
    const partial = startBlob(ref);
    let served = 0;
    const first = connect(async (message, body, coordinator) => {
      served += 1;
      if (served > 6) return coordinator.close('gone');
      await serve(shelf)(message, body, coordinator);
    });
    await expect(pullBlob(first.peer, ref, { crypto, resumeFrom: partial })).rejects.toMatchObject({
      code: 'net/closed',
    });
    expect(partial.offset).toBeGreaterThan(0);
    expect(partial.offset).toBeLessThan(ref.bytes);
    const held = partial.offset;
    const log: number[] = [];
    const second = connect(serve(shelf, log));
    const pulled = await pullBlob(second.peer, ref, { crypto, resumeFrom: partial });
    expect(log[0]).toBe(held);
    expect(equalBytes(pulled, bytesOf(10 * CHUNK))).toBe(true);
  });

  test('[TR2] refuses bytes with another hash, and starts over then', async () => {
    const { shelf, ref } = await shelfWith(bytesOf(3 * CHUNK));
    const partial = startBlob(ref);
    const { peer } = connect(async (message, _, coordinator) => {
      if (message.type !== 'ask') return;
      const { body, bytes } = shelf.chunk(message.hash, message.offset);
      const changed = body.slice();
      changed[5]! ^= 1;
      await coordinator.send(
        { type: 'chunk', re: message.id, hash: message.hash, offset: message.offset, bytes },
        changed,
      );
    });
    await expect(pullBlob(peer, ref, { crypto, resumeFrom: partial })).rejects.toMatchObject({
      code: 'wire/hash-mismatch',
    });
    expect(partial.offset).toBe(0);
  });

  test.each<[string, Partial<{ offset: number; bytes: number; hash: Uint8Array }>, number]>([
    ['another offset', { offset: 1 }, CHUNK],
    ['another size', { bytes: 5 }, CHUNK],
    ['another hash', { hash: new Uint8Array(32) }, CHUNK],
    ['a short body', {}, CHUNK - 1],
    ['a long body', {}, CHUNK + 1],
  ])('[TR2] refuses a chunk with %s', async (_, change, length) => {
    const ref: BlobRef = { name: 'model', hash: new Uint8Array(32).fill(1), bytes: 2 * CHUNK };
    const { peer } = connect(async (message, __, coordinator) => {
      if (message.type !== 'ask') return;
      const { offset, hash } = message;
      const chunk = { type: 'chunk', re: message.id, hash, offset, bytes: ref.bytes, ...change } as const;
      await coordinator.send(chunk, new Uint8Array(length));
    });
    await expect(pullBlob(peer, ref, { crypto })).rejects.toMatchObject({ code: 'wire/malformed' });
  });

  test('takes no more than it is told to', async () => {
    const { shelf, ref } = await shelfWith(bytesOf(1000));
    const { peer } = connect(serve(shelf));
    await expect(pullBlob(peer, ref, { crypto, maxBytes: 999 })).rejects.toMatchObject({ code: 'wire/too-large' });
  });

  test('of something that is not offered says so', async () => {
    const { shelf, ref } = await shelfWith(bytesOf(1000));
    shelf.drop(ref.hash);
    const { peer } = connect(serve(shelf));
    await expect(pullBlob(peer, ref, { crypto })).rejects.toMatchObject({ code: 'wire/unknown-blob' });
  });
});

describe('the shelf', () => {
  test('holds each blob once and gives views of it', async () => {
    const shelf = createBlobShelf(crypto);
    const [one, other] = [bytesOf(CHUNK + 10), bytesOf(20)];
    const ref = await shelf.add('model', one);
    expect(await shelf.add('again', one.slice())).toEqual({ ...ref, name: 'again' });
    const second = await shelf.add('other', other);
    expect(shelf.heldBytes).toBe(CHUNK + 30);
    const { body, bytes } = shelf.chunk(ref.hash, CHUNK);
    expect([body.length, bytes]).toEqual([10, CHUNK + 10]);
    expect(body.buffer).toBe(one.buffer);
    expect(() => shelf.chunk(ref.hash, CHUNK + 10)).toThrow(expect.objectContaining({ code: 'wire/malformed' }));
    shelf.keepOnly([second.hash]);
    expect([shelf.has(ref.hash), shelf.has(second.hash), shelf.heldBytes]).toEqual([false, true, 20]);
  });
});

describe('pushing a report', () => {
  const offerHash = new Uint8Array(32).fill(1);
  const alice = 'alice' as ParticipantId;
  const total = 9 * CHUNK + 5;
  const bytes = bytesOf(total);

  function deskFor(): UploadDesk {
    const desk = createUploadDesk({ crypto, maxBytes: 100 * CHUNK });
    desk.begin(offerHash, 0, { 'nacl-box': total });
    return desk;
  }
  const receive =
    (desk: UploadDesk, log: number[] = []): Answer =>
    async (message, body, peer) => {
      if (message.type === 'upload') {
        await peer.send({ type: 'got', re: message.id, offset: desk.open(alice, message) });
      } else if (message.type === 'put') {
        log.push(message.offset);
        await peer.send({ type: 'got', re: message.id, offset: desk.put(alice, message, body!) });
      }
    };
  const pushTo = async (peer: ParticipantPeer, onProgress?: (n: number) => void) =>
    pushReport(peer, {
      offerHash,
      exchange: 0,
      suite: 'nacl-box',
      hash: await crypto.sha256(bytes),
      bytes,
      ...(onProgress ? { onProgress } : {}),
    });

  const received = async (desk: UploadDesk): Promise<boolean> => {
    let same = false;
    await desk.commit(
      alice,
      { offerHash, exchange: 0, hash: await crypto.sha256(bytes), bytes: total },
      async (report) => {
        same = equalBytes(report.bytes, bytes);
      },
    );
    return same;
  };

  test('[TR5] sends every byte once, in order', async () => {
    const desk = deskFor();
    const log: number[] = [];
    const progress: number[] = [];
    await pushTo(connect(receive(desk, log)).peer, (n) => progress.push(n));
    expect(log).toEqual(Array.from({ length: 10 }, (_, i) => i * CHUNK));
    expect([progress[0], progress.at(-1)]).toEqual([0, total]);
    expect(await received(desk)).toBe(true);
  });

  test('goes on over another connection at what is held', async () => {
    const desk = deskFor();
    let puts = 0;
    const first = connect(async (message, body, peer) => {
      if (message.type === 'put') puts += 1;
      if (puts > 5) return peer.close('gone');
      await receive(desk)(message, body, peer);
    });
    await expect(pushTo(first.peer)).rejects.toMatchObject({ code: 'net/closed' });
    const log: number[] = [];
    await pushTo(connect(receive(desk, log)).peer);
    expect(log).toEqual([5, 6, 7, 8, 9].map((i) => i * CHUNK));
    expect(await received(desk)).toBe(true);
    const again: number[] = [];
    await pushTo(connect(receive(desk, again)).peer);
    expect(again).toEqual([]);
  });

  test('never has more than four chunks under way', async () => {
    const desk = deskFor();
    let underWay = 0;
    let most = 0;
    const queue: (() => Promise<void>)[] = [];
    const { peer } = connect(async (message, body, coordinator) => {
      underWay += 1;
      most = Math.max(most, underWay);
      queue.push(async () => receive(desk)(message, body, coordinator));
      await new Promise((resolve) => setTimeout(resolve, 1));
      underWay -= 1;
      await queue.shift()!();
    });
    await pushTo(peer);
    expect(most).toBe(LIMITS.window);
    expect(await received(desk)).toBe(true);
  });

  test('ends when the coordinator refuses or acknowledges nonsense', async () => {
    const refuse = connect(() => {
      throw new TacitError('wire/rate-limited', 'later', { retryAfterMs: 77 });
    });
    await expect(pushTo(refuse.peer)).rejects.toMatchObject({ code: 'wire/rate-limited', retryAfterMs: 77 });
    for (const offset of [total + 1, 0]) {
      const { peer } = connect((message, _, coordinator) =>
        coordinator.send({
          type: 'got',
          re: message.id,
          offset: message.type === 'upload' && offset === 0 ? 0 : offset,
        }),
      );
      await expect(pushTo(peer)).rejects.toMatchObject({ code: 'wire/unexpected' });
    }
  });
});
