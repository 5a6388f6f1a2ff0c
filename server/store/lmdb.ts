/**
 * The embedded store: LMDB in a folder. A transaction is flushed to the disk before its promise resolves (`overlappingSync` off),
 * so what was announced survives a crash of the process and of the machine.
 * Keys: [run, 'commit', version], [run, 'model', version], [run, 'state', version], [run, 'attempt', round], [run, 'ledger', n].
 */
import { mkdir } from 'node:fs/promises';
import { type Key, open, type RootDatabase } from 'lmdb';
import { fromHex, fromUtf8, toHex, utf8 } from '../../protocol/bytes.ts';
import { asTacitError, TacitError } from '../../protocol/errors.ts';
import type { HashHex } from '../../protocol/ids.ts';
import type { CommitRecord } from '../../protocol/messages.ts';
import { type Commit, type CommitSummary, checkNext, type LedgerEntry, type Store, VERSIONS_KEPT } from './store.ts';

type Table = 'commit' | 'model' | 'state' | 'attempt' | 'ledger';

/** JSON in which byte arrays are `{"hex": "…"}`. */
const toJson = (value: unknown): Uint8Array =>
  utf8(JSON.stringify(value, (_key, v: unknown) => (v instanceof Uint8Array ? { hex: toHex(v) } : v)));

const fromJson = (bytes: Uint8Array): unknown =>
  JSON.parse(fromUtf8(bytes), (_key, v: unknown) =>
    v !== null && typeof v === 'object' && 'hex' in v && typeof v.hex === 'string' ? fromHex(v.hex) : v,
  );

const storeError = (thrown: unknown, dir: string): TacitError => {
  if (thrown instanceof TacitError) return thrown;
  return new TacitError('run/store', `the store cannot be used: ${asTacitError(thrown).message}`, {
    where: dir,
    hint: 'Check that the disk has room and that no other coordinator uses this folder.',
    cause: thrown,
  });
};

/** Opens (or makes) the store in a folder. @throws TacitError run/store */
export async function lmdbStore(dir: string): Promise<Store> {
  try {
    await mkdir(dir, { recursive: true });
    return storeOver(open<Uint8Array>({ path: dir, encoding: 'binary', overlappingSync: false }), dir);
  } catch (thrown) {
    throw storeError(thrown, dir);
  }
}

function storeOver(db: RootDatabase<Uint8Array>, dir: string): Store {
  /** Copies: what LMDB returns may lie in its memory map. */
  const read = (key: Key): Uint8Array | undefined => {
    const bytes = db.get(key);
    return bytes && new Uint8Array(bytes);
  };
  const lastOf = (run: HashHex, table: Table): number => {
    const range = { start: [run, table, Number.MAX_SAFE_INTEGER], end: [run, table], reverse: true, limit: 1 };
    for (const { key } of db.getRange(range)) return Number((key as unknown as Key[])[2]);
    return 0;
  };
  /** All writes go through here: one transaction, durable when the promise resolves. */
  const write = async <T>(action: () => T): Promise<T> => {
    try {
      return await db.transaction(action);
    } catch (thrown) {
      throw storeError(thrown, dir);
    }
  };
  const inRange = (run: HashHex, table: Table): unknown[] =>
    [...db.getRange({ start: [run, table, 0], end: [run, table, Number.MAX_SAFE_INTEGER] })].map(({ value }) =>
      fromJson(value),
    );

  return {
    name: 'lmdb',
    latest: async (run) => {
      const version = lastOf(run, 'commit');
      const summary = read([run, 'commit', version]);
      const model = read([run, 'model', version]);
      const state = read([run, 'state', version]);
      if (!summary || !model || !state) return undefined;
      return { ...(fromJson(summary) as CommitSummary & { record: CommitRecord }), model, state };
    },
    history: async (run) => inRange(run, 'commit') as CommitSummary[],
    commit: (run, commit: Commit) =>
      write(() => {
        const { model, state, ...summary } = commit;
        checkNext(commit.version, lastOf(run, 'commit'));
        db.put([run, 'commit', commit.version], toJson(summary));
        db.put([run, 'model', commit.version], model);
        db.put([run, 'state', commit.version], state);
        db.remove([run, 'model', commit.version - VERSIONS_KEPT]);
        db.remove([run, 'state', commit.version - VERSIONS_KEPT]);
      }),
    beginAttempt: (run, round) =>
      write(() => {
        const last = read([run, 'attempt', round]);
        const attempt = last ? Number(fromUtf8(last)) + 1 : 0;
        db.put([run, 'attempt', round], utf8(String(attempt)));
        return attempt;
      }),
    charge: (run, entry: LedgerEntry) =>
      write(() => {
        db.put([run, 'ledger', lastOf(run, 'ledger') + 1], toJson(entry));
      }),
    ledger: async (run) => inRange(run, 'ledger') as LedgerEntry[],
    close: () => db.close(),
  };
}
