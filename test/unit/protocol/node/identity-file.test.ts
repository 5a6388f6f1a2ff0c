import { chmod, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderStore } from '../../../../client/node/folder-store.ts';
import { nodeCrypto } from '../../../../protocol/crypto/node.ts';
import { openIdentityFile } from '../../../../protocol/node/identity-file.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tacit-test-'));
});
afterEach(() => rm(folder, { recursive: true }));

const refusal = (code: string) => expect.objectContaining({ code });

describe('openIdentityFile', () => {
  it('makes an identity for its owner only, and finds it again', async () => {
    const path = join(folder, 'below', 'identity.json');
    const made = await openIdentityFile(path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const found = await openIdentityFile(path);
    expect(found.id).toBe(made.id);
    const statement = Uint8Array.of(1, 2, 3);
    expect(await nodeCrypto.ed25519Verify(made.publicKey, statement, await found.sign(statement))).toBe(true);
  });

  it('gives several at once the same identity', async () => {
    const path = join(folder, 'identity.json');
    const all = await Promise.all([1, 2, 3, 4].map(() => openIdentityFile(path)));
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
  });

  it('refuses a file that others can read, and one that is something else', async () => {
    const path = join(folder, 'identity.json');
    await openIdentityFile(path);
    await chmod(path, 0o644);
    await expect(openIdentityFile(path)).rejects.toThrow(refusal('auth/bad-key'));
    await rm(path);
    for (const text of ['', '{}', '{"kind":"tacit identity","seed":"AAAA"}']) {
      await writeFile(path, text, { mode: 0o600 });
      await expect(openIdentityFile(path)).rejects.toThrow(refusal('auth/bad-key'));
    }
    await expect(openIdentityFile(folder)).rejects.toThrow(refusal('run/store'));
  });
});

describe('folderStore', () => {
  it('keeps, replaces and removes values, for their owner only', async () => {
    const store = folderStore(join(folder, 'state'));
    expect(await store.read('notebook.1')).toBeUndefined();
    await store.write('notebook.1', Uint8Array.of(1));
    await store.write('notebook.1', Uint8Array.of(2, 3));
    expect(await folderStore(join(folder, 'state')).read('notebook.1')).toEqual(Uint8Array.of(2, 3));
    expect((await stat(join(folder, 'state', 'notebook.1'))).mode & 0o777).toBe(0o600);
    await store.remove('notebook.1');
    await store.remove('notebook.1');
    expect(await store.read('notebook.1')).toBeUndefined();
  });

  it('leaves nothing half-written beside its files', async () => {
    const store = folderStore(folder);
    await Promise.all([1, 2, 3, 4, 5].map((n) => store.write('a', new Uint8Array(10_000).fill(n))));
    const value = await readFile(join(folder, 'a'));
    expect(new Set(value).size).toBe(1);
    expect(await readdir(folder)).toEqual(['a']);
  });

  it('updates a value alone, whoever else has the folder, and leaves it as it was when the change is refused', async () => {
    const store = folderStore(folder);
    const more = (before: Uint8Array | undefined) => Uint8Array.of((before?.[0] ?? 0) + 1);
    await Promise.all(Array.from({ length: 20 }, () => folderStore(folder).update('a', more)));
    expect(await store.read('a')).toEqual(Uint8Array.of(20));
    await store.update('a', () => undefined);
    const refuse = () => {
      throw new RangeError('no');
    };
    await expect(store.update('a', refuse)).rejects.toThrow(RangeError);
    expect(await store.read('a')).toEqual(Uint8Array.of(20));
    expect(await readdir(folder)).toEqual(['a']);
  });

  it('takes away a lock that a process left behind when it died', async () => {
    await writeFile(join(folder, 'a.lock'), '');
    await utimes(join(folder, 'a.lock'), 0, 0);
    await folderStore(folder).update('a', () => Uint8Array.of(1));
    expect(await readdir(folder)).toEqual(['a']);
  });

  it('takes no name that leads elsewhere, and says which file it cannot write', async () => {
    await expect(folderStore(folder).write('../a', Uint8Array.of(1))).rejects.toThrow(RangeError);
    await writeFile(join(folder, 'file'), '');
    await expect(folderStore(join(folder, 'file')).write('a', Uint8Array.of(1))).rejects.toThrow(refusal('run/store'));
  });
});
