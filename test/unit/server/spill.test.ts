import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import type { ParticipantId } from '../../../protocol/ids.ts';
import { createUploadDesk } from '../../../protocol/upload-desk.ts';
import { createSpill } from '../../../server/spill.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-spill-test-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('spill files', () => {
  test('give back what was written, in whatever pieces', async () => {
    const spill = createSpill(1000, dir);
    const storage = spill.open(300)!;
    const bytes = nodeCrypto.randomBytes(300);
    storage.write(200, bytes.subarray(200));
    storage.write(0, bytes.subarray(0, 100));
    storage.write(50, bytes.subarray(50, 200));
    expect(Buffer.compare(await storage.read(), bytes)).toBe(0);
    expect(spill.heldBytes).toBe(300);
    storage.release();
    expect(spill.heldBytes).toBe(0);
    await spill.close();
    expect(await readdir(dir)).toEqual([]);
  });

  test('are bounded together', () => {
    const spill = createSpill(1000, dir);
    const first = spill.open(600)!;
    expect(spill.open(401)).toBeUndefined();
    first.release();
    expect(spill.open(401)).toBeDefined();
  });

  test('leave nothing behind while they are open, so that a killed process leaves nothing either', async () => {
    const spill = createSpill(1000, dir);
    spill.open(10)!.write(0, new Uint8Array(10));
    const [folder] = await readdir(dir);
    expect(await readdir(join(dir, folder!))).toEqual([]);
    await spill.close();
  });

  test('on a disk that cannot be written are no room', async () => {
    const file = join(dir, 'file');
    await writeFile(file, '');
    expect(createSpill(1000, join(file, 'inside')).open(10)).toBeUndefined();
  });
});

describe('uploads without room in memory', () => {
  test('go to files, are handed on as they came, and beyond that are paced', async () => {
    const spill = createSpill(200, dir);
    const desk = createUploadDesk({ crypto: nodeCrypto, maxBytes: 100, spill: (bytes) => spill.open(bytes) });
    const offerHash = new Uint8Array(32);
    desk.begin(offerHash, 0, { 'nacl-box': 100 });
    const reports = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (name) => {
        const bytes = nodeCrypto.randomBytes(100);
        const hash = await nodeCrypto.sha256(bytes);
        return {
          id: name as ParticipantId,
          bytes,
          announced: { offerHash, exchange: 0, suite: 'nacl-box', hash, bytes: 100 },
        };
      }),
    );
    const [a, b, c, d] = reports as [
      (typeof reports)[0],
      (typeof reports)[0],
      (typeof reports)[0],
      (typeof reports)[0],
    ];
    for (const { id, announced } of [a, b, c]) expect(desk.open(id, announced)).toBe(0);
    expect([desk.heldBytes, spill.heldBytes]).toEqual([100, 200]);
    expect(() => desk.open(d.id, d.announced)).toThrow(expect.objectContaining({ code: 'wire/rate-limited' }));

    for (const { id, announced, bytes } of [a, b, c]) {
      desk.put(id, { hash: announced.hash, offset: 0 }, bytes.subarray(0, 40));
      desk.put(id, { hash: announced.hash, offset: 40 }, bytes.subarray(40));
    }
    let atOnce = 0;
    let most = 0;
    const seen = new Map<string, Uint8Array>();
    await Promise.all(
      [b, c].map(({ id, announced }) =>
        desk.commit(id, announced, async (report) => {
          most = Math.max(most, ++atOnce);
          await new Promise((resolve) => setImmediate(resolve));
          seen.set(report.participant, report.bytes);
          atOnce -= 1;
        }),
      ),
    );
    expect(most).toBe(1);
    expect(Buffer.compare(seen.get('b')!, b.bytes)).toBe(0);
    expect(Buffer.compare(seen.get('c')!, c.bytes)).toBe(0);
    expect(spill.heldBytes).toBe(0);
    expect(desk.open(d.id, d.announced)).toBe(0);
    desk.end(offerHash);
    expect([desk.heldBytes, spill.heldBytes]).toEqual([0, 0]);
    await spill.close();
  });

  test('that were changed on the disk are noticed', async () => {
    const changed = { write: () => {}, read: async () => new Uint8Array(100), release: () => {} };
    const desk = createUploadDesk({ crypto: nodeCrypto, maxBytes: 100, spill: () => changed });
    const offerHash = new Uint8Array(32);
    desk.begin(offerHash, 0, { 'nacl-box': 100 });
    const bytes = nodeCrypto.randomBytes(100);
    const announced = { offerHash, exchange: 0, suite: 'nacl-box', hash: await nodeCrypto.sha256(bytes), bytes: 100 };
    for (const name of ['in memory', 'spilled']) {
      desk.open(name as ParticipantId, announced);
      desk.put(name as ParticipantId, { hash: announced.hash, offset: 0 }, bytes);
    }
    await desk.commit('in memory' as ParticipantId, announced, async () => {});
    const spilled = desk.commit('spilled' as ParticipantId, announced, async () => {});
    await expect(spilled).rejects.toMatchObject({ code: 'wire/hash-mismatch' });
  });
});
