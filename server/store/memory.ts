/** The store of tests and simulations: same contract, gone with the process. */
import type { HashHex } from '../../protocol/ids.ts';
import { type Commit, checkNext, type LedgerEntry, type Store, VERSIONS_KEPT } from './store.ts';

interface Run {
  readonly commits: Commit[];
  readonly attempts: Map<number, number>;
  readonly ledger: LedgerEntry[];
}

const NONE = new Uint8Array(0);

export function memoryStore(): Store {
  const runs = new Map<HashHex, Run>();
  const runOf = (id: HashHex): Run => {
    const run = runs.get(id) ?? { commits: [], attempts: new Map(), ledger: [] };
    runs.set(id, run);
    return run;
  };
  return {
    name: 'memory',
    latest: async (id) => runOf(id).commits.at(-1),
    history: async (id) => runOf(id).commits.map(({ model: _model, state: _state, ...summary }) => summary),
    commit: async (id, commit) => {
      const { commits } = runOf(id);
      checkNext(commit.version, commits.length);
      commits.push(structuredClone(commit));
      const old = commits.length - 1 - VERSIONS_KEPT;
      if (old >= 0) commits[old] = { ...commits[old]!, model: NONE, state: NONE };
    },
    beginAttempt: async (id, round) => {
      const { attempts } = runOf(id);
      const attempt = (attempts.get(round) ?? -1) + 1;
      attempts.set(round, attempt);
      return attempt;
    },
    charge: async (id, entry) => {
      runOf(id).ledger.push(structuredClone(entry));
    },
    ledger: async (id) => [...runOf(id).ledger],
    close: async () => {},
  };
}
