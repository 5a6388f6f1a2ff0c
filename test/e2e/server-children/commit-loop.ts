/** Commits rounds to an LMDB store until it is killed, and prints the version of each once it is durable. */
import type { HashHex } from '../../../protocol/ids.ts';
import { lmdbStore } from '../../../server/store/lmdb.ts';
import type { Commit } from '../../../server/store/store.ts';

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value % 256);
const run = 'a1'.repeat(32) as HashHex;
const modelBytes = 2_000_000;
const [dir = ''] = process.argv.slice(2);

const commitOf = (version: number): Commit => ({
  version,
  offer: {
    v: 1,
    task: 'stored',
    kind: 'train',
    round: version - 1,
    attempt: 0,
    modelVersion: version - 1,
    modelHash: filled(32, version - 1),
    planHash: filled(32, 1),
    nonce: filled(32, version),
  },
  record: {
    offerHash: filled(32, version),
    round: version - 1,
    attempt: 0,
    participants: 3,
    aggregateHash: filled(32, version),
    modelHash: filled(32, version),
    prevHead: filled(32, version - 1),
    signature: filled(64, version),
  },
  head: filled(32, version),
  model: filled(modelBytes, version),
  state: filled(modelBytes / 2, version),
  metrics: { version },
});

const store = await lmdbStore(dir);
const start = (await store.latest(run))?.version ?? 0;
for (let version = start + 1; ; version++) {
  await store.commit(run, commitOf(version));
  process.stdout.write(`${version}\n`);
}
