import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { HashHex } from '../../protocol/ids.ts';
import { lmdbStore } from '../../server/store/lmdb.ts';
import { memoryStore } from '../../server/store/memory.ts';
import { type Bundle, bundle, runChild } from '../e2e/server-child.ts';
import { storeContract } from './store.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-store-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

storeContract('memory', { open: async () => memoryStore(), durable: false });
storeContract('lmdb', { open: () => lmdbStore(dir), durable: true });

describe('lmdb', () => {
  test('a folder that cannot be made gives run/store and says where', async () => {
    const file = join(dir, 'file');
    await writeFile(file, '');
    await expect(lmdbStore(join(file, 'store'))).rejects.toMatchObject({
      code: 'run/store',
      where: join(file, 'store'),
    });
  });
});

describe('lmdb and kill -9', () => {
  const run = 'a1'.repeat(32) as HashHex;
  let child: Bundle;
  beforeAll(async () => {
    child = await bundle('test/e2e/server-children/commit-loop.ts');
  });
  afterAll(() => child.remove());

  test('a process killed while it commits leaves a whole last commit, and loses none that it announced', async () => {
    let announced = 0;
    for (const kill of [1, 3, 5]) {
      const { process, lines, exit } = runChild(child.file, [dir]);
      let seen = 0;
      for await (const line of lines) {
        announced = Number(line);
        // Killed while the next commit is being written: it follows the line at once.
        if (++seen === kill) process.kill('SIGKILL');
      }
      expect(await exit).toMatchObject({ signal: 'SIGKILL', stderr: '' });

      const store = await lmdbStore(dir);
      const last = (await store.latest(run))!;
      expect(last.version).toBeGreaterThanOrEqual(announced);
      expect(last.version).toBeLessThanOrEqual(announced + 1);
      const whole = (bytes: Uint8Array) => bytes.every((byte) => byte === last.version % 256);
      expect([last.model, last.state, last.head, last.record.modelHash].every(whole)).toBe(true);
      expect(last.model).toHaveLength(2_000_000);
      expect(last.metrics.version).toBe(last.version);
      expect((await store.history(run)).map((c) => c.version)).toEqual(
        Array.from({ length: last.version }, (_, i) => i + 1),
      );
      await store.close();
    }
    expect(announced).toBeGreaterThanOrEqual(9);
  });
});
