/** What every store owes a run; called once for each implementation. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { equalBytes } from '../../protocol/bytes.ts';
import type { HashHex } from '../../protocol/ids.ts';
import type { CommitRecord, Offer } from '../../protocol/messages.ts';
import { type Commit, type Store, VERSIONS_KEPT } from '../../server/store/store.ts';

const RUN = 'a1'.repeat(32) as HashHex;
const OTHER = 'b2'.repeat(32) as HashHex;

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

export function recordOf(version: number): CommitRecord {
  return {
    offerHash: filled(32, version),
    round: version - 1,
    attempt: 2,
    participants: 7,
    aggregateHash: filled(32, 100 + version),
    modelHash: filled(32, 50 + version),
    prevHead: filled(32, version - 1),
    signature: filled(64, version),
  };
}

const offerOf = (version: number): Offer => ({
  v: 1,
  task: 'stored',
  kind: 'train',
  round: version - 1,
  attempt: 2,
  modelVersion: version - 1,
  modelHash: filled(32, 49 + version),
  planHash: filled(32, 1),
  nonce: filled(32, 200 + version),
});

/** A commit whose every part says which version it belongs to, so that a mixture would show. */
export function commitOf(version: number, modelBytes = 1000): Commit {
  return {
    version,
    offer: offerOf(version),
    record: recordOf(version),
    head: filled(32, version),
    model: filled(modelBytes, version),
    state: filled(10, version),
    metrics: { loss: 1 / version, version },
  };
}

/** A store under test: `reopen` closes it and opens what it left behind, where it leaves anything. */
export interface StoreUnderTest {
  open(): Promise<Store>;
  readonly durable: boolean;
}

export function storeContract(name: string, subject: StoreUnderTest): void {
  describe(`${name}: the contract of stores`, () => {
    let store: Store;
    beforeEach(async () => {
      store = await subject.open();
    });
    afterEach(() => store.close());

    test('an unknown run is empty', async () => {
      expect(await store.latest(RUN)).toBeUndefined();
      expect(await store.history(RUN)).toEqual([]);
      expect(await store.ledger(RUN)).toEqual([]);
    });

    test('the last commit comes back as it was put in', async () => {
      await store.commit(RUN, commitOf(1));
      await store.commit(RUN, commitOf(2));
      expect(await store.latest(RUN)).toEqual(commitOf(2));
    });

    test('history lists all commits without their bytes, oldest first, past the versions whose bytes are kept', async () => {
      const count = VERSIONS_KEPT + 10;
      for (let version = 1; version <= count; version++) await store.commit(RUN, commitOf(version));
      const expected = Array.from({ length: count }, (_, i) => {
        const { model: _model, state: _state, ...summary } = commitOf(i + 1);
        return summary;
      });
      expect(await store.history(RUN)).toEqual(expected);
    });

    test('versions increase by one: a repetition, a gap and a step back are refused and change nothing', async () => {
      await store.commit(RUN, commitOf(1));
      for (const version of [1, 3, 0]) {
        await expect(store.commit(RUN, commitOf(version))).rejects.toMatchObject({ code: 'run/store' });
      }
      expect(await store.latest(RUN)).toEqual(commitOf(1));
      await store.commit(RUN, commitOf(2));
      expect((await store.latest(RUN))?.version).toBe(2);
    });

    test('of two commits of one version at the same time, one is refused', async () => {
      const results = await Promise.allSettled([store.commit(RUN, commitOf(1)), store.commit(RUN, commitOf(1))]);
      expect(results.map((r) => r.status).sort()).toEqual(['fulfilled', 'rejected']);
    });

    test('an attempt number is never given twice', async () => {
      expect(await store.beginAttempt(RUN, 0)).toBe(0);
      expect(await store.beginAttempt(RUN, 0)).toBe(1);
      expect(await store.beginAttempt(RUN, 1)).toBe(0);
      expect(await store.beginAttempt(RUN, 0)).toBe(2);
    });

    test('the ledger keeps its entries in order', async () => {
      const entries = [0, 1, 2].map((round) => ({ round, attempt: 0, exchange: 0, charge: { rho: round / 8 } }));
      for (const entry of entries) await store.charge(RUN, entry);
      expect(await store.ledger(RUN)).toEqual(entries);
    });

    test('runs do not see each other', async () => {
      await store.commit(RUN, commitOf(1));
      await store.beginAttempt(RUN, 0);
      expect(await store.latest(OTHER)).toBeUndefined();
      expect(await store.history(OTHER)).toEqual([]);
      expect(await store.beginAttempt(OTHER, 0)).toBe(0);
    });

    test('what was committed does not follow later changes of the array that was handed in', async () => {
      const commit = commitOf(1);
      await store.commit(RUN, commit);
      commit.model.fill(99);
      expect((await store.latest(RUN))?.model).toEqual(commitOf(1).model);
    });

    if (!subject.durable) return;
    test('everything is still there after closing and opening again', async () => {
      await store.commit(RUN, commitOf(1, 3_000_000));
      await store.commit(RUN, commitOf(2, 3_000_000));
      await store.beginAttempt(RUN, 2);
      await store.charge(RUN, { round: 1, attempt: 0, exchange: 0, charge: { rho: 0.5 } });
      await store.close();
      store = await subject.open();
      const { model, ...rest } = (await store.latest(RUN))!;
      const { model: expected, ...others } = commitOf(2, 3_000_000);
      expect(equalBytes(model, expected)).toBe(true);
      expect(rest).toEqual(others);
      expect(await store.beginAttempt(RUN, 2)).toBe(1);
      expect(await store.ledger(RUN)).toHaveLength(1);
    });
  });
}
