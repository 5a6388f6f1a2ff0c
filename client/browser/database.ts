/** The page's memory: one IndexedDB database with two tables, bytes by name and keys by name. */
import { TacitError } from '../../protocol/errors.ts';
import type { ParticipantStore } from '../store.ts';

const NAME = 'tacit';
const VERSION = 1;
/** Small byte strings: notebook, what is kept between rounds. */
const VALUES = 'values';
/** Key pairs, as the browser's own objects where it can keep them from us. */
const KEYS = 'keys';

type Table = typeof VALUES | typeof KEYS;

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const unusable = (cause: unknown): TacitError =>
  new TacitError(
    'run/store',
    `this browser's storage cannot be used: ${cause instanceof Error ? cause.message : cause}`,
    {
      hint: 'Private windows and strict settings may forbid it; allow storage for this page or use another window.',
      cause,
    },
  );

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => {
    for (const table of [VALUES, KEYS]) request.result.createObjectStore(table);
  };
  return settled(request);
}

/** Reads from, or writes to, one table in a transaction of its own; a write is complete when this resolves. */
async function withTable<T>(
  table: Table,
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  try {
    const database = await open();
    try {
      const transaction = database.transaction(table, mode, { durability: 'strict' });
      const complete = new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error);
        transaction.onerror = () => reject(transaction.error);
      });
      const [result] = await Promise.all([settled(act(transaction.objectStore(table))), complete]);
      return result;
    } finally {
      database.close();
    }
  } catch (thrown) {
    throw unusable(thrown);
  }
}

const bytesOf = (value: unknown): Uint8Array | undefined => (value instanceof Uint8Array ? value : undefined);

/** Reads and writes in one transaction, which those of other tabs wait for. */
async function update(name: string, change: (before: Uint8Array | undefined) => Uint8Array | undefined): Promise<void> {
  let refused: { readonly thrown: unknown } | undefined;
  try {
    await withTable(VALUES, 'readwrite', (store) => {
      const request = store.get(name) as IDBRequest<unknown>;
      request.addEventListener('success', () => {
        try {
          const after = change(bytesOf(request.result));
          if (after) store.put(after, name);
        } catch (thrown) {
          refused = { thrown };
          store.transaction.abort();
        }
      });
      return request;
    });
  } catch (thrown) {
    throw refused ? refused.thrown : thrown;
  }
}

/** A participant's store in this browser, for this page's origin. */
export function indexedStore(): ParticipantStore {
  return {
    read: async (name) => bytesOf(await withTable(VALUES, 'readonly', (store) => store.get(name))),
    update,
    write: async (name, value) => void (await withTable(VALUES, 'readwrite', (store) => store.put(value, name))),
    remove: (name) => withTable(VALUES, 'readwrite', (store) => store.delete(name)),
  };
}

/** What is kept under a key's name: a CryptoKeyPair or a seed. */
export const readKey = (name: string): Promise<unknown> =>
  withTable(KEYS, 'readonly', (store) => store.get(name) as IDBRequest<unknown>);

/** Keeps a key unless one is there already (another tab was faster), and answers with the one that is kept. */
export async function keepKey(name: string, value: unknown): Promise<unknown> {
  try {
    await withTable(KEYS, 'readwrite', (store) => store.add(value, name));
    return value;
  } catch (thrown) {
    const kept = await readKey(name);
    if (kept === undefined) throw thrown;
    return kept;
  }
}
