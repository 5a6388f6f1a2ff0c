/** What the page keeps in a real browser: its key, its notebook, and nothing that it should not. */
import { beforeEach, describe, expect, it } from 'vitest';
import { indexedStore, keepKey, readKey } from '../../client/browser/database.ts';
import { browserIdentity } from '../../client/browser/identity.ts';
import { webCrypto } from '../../protocol/crypto/web.ts';

const clear = (): Promise<void> =>
  new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase('tacit');
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
  });
beforeEach(clear);

describe("the page's store", () => {
  it('keeps, replaces and removes bytes by name', async () => {
    const store = indexedStore();
    expect(await store.read('notebook.1')).toBeUndefined();
    await store.write('notebook.1', Uint8Array.of(1));
    await store.write('notebook.1', Uint8Array.of(2, 3));
    expect(await indexedStore().read('notebook.1')).toEqual(Uint8Array.of(2, 3));
    await store.remove('notebook.1');
    expect(await store.read('notebook.1')).toBeUndefined();
  });

  it('updates a value alone, whichever tab else writes it, and leaves it as it was when the change is refused', async () => {
    const more = (before: Uint8Array | undefined) => Uint8Array.of((before?.[0] ?? 0) + 1);
    await Promise.all(Array.from({ length: 20 }, () => indexedStore().update('notebook.1', more)));
    const refuse = () => {
      throw new RangeError('no');
    };
    await expect(indexedStore().update('notebook.1', refuse)).rejects.toThrow(RangeError);
    await indexedStore().update('notebook.1', () => undefined);
    expect(await indexedStore().read('notebook.1')).toEqual(Uint8Array.of(20));
  });

  it('keeps the first key of a name, whoever is faster', async () => {
    const kept = await Promise.all([1, 2, 3].map((n) => keepKey('k', Uint8Array.of(n))));
    const stored = (await readKey('k')) as Uint8Array;
    for (const key of kept) expect(key).toEqual(stored);
  });
});

describe("the page's identity", () => {
  it('is made once, signs, and is the same after a reload', async () => {
    const made = await browserIdentity();
    const found = await browserIdentity();
    expect(found.id).toBe(made.id);
    expect(found.publicKey).toEqual(made.publicKey);
    const statement = Uint8Array.of(1, 2, 3);
    expect(await webCrypto.ed25519Verify(made.publicKey, statement, await found.sign(statement))).toBe(true);
  });

  it('is the same for callers that come at once', async () => {
    const ids = await Promise.all([browserIdentity(), browserIdentity(), browserIdentity()]);
    expect(new Set(ids.map(({ id }) => id)).size).toBe(1);
  });

  it('has a private key that the browser does not give away, where the browser has such keys', async () => {
    await browserIdentity();
    const key = await readKey('identity');
    expect(key).toHaveProperty('privateKey');
    const { privateKey } = key as CryptoKeyPair;
    expect(privateKey.extractable).toBe(false);
    await expect(crypto.subtle.exportKey('pkcs8', privateKey)).rejects.toThrow();
  });

  it('works from a stored seed where the browser has no Ed25519', async () => {
    await keepKey('identity', new Uint8Array(32).fill(7));
    const identity = await browserIdentity();
    const statement = Uint8Array.of(9);
    expect(await webCrypto.ed25519Verify(identity.publicKey, statement, await identity.sign(statement))).toBe(true);
  });
});
