/** Noised sums at the coordinator: charged before they are opened, within the budget, with a clipping norm that moves. */
import { describe, expect, test } from 'vitest';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { addWords } from '../../../protocol/fixed-point.ts';
import type { ParticipantId } from '../../../protocol/ids.ts';
import type { Offer } from '../../../protocol/messages.ts';
import { gaussianEpsilon } from '../../../protocol/privacy/gaussian.ts';
import { CLIP_NORM } from '../../../protocol/privacy/noised-exchange.ts';
import { rdpEpsilon } from '../../../protocol/privacy/rdp.ts';
import { buildReport } from '../../../protocol/report.ts';
import { decodeSafetensors } from '../../../protocol/safetensors.ts';
import { BROADCAST } from '../../../protocol/sections.ts';
import { openFederation, resume, summaryOf } from '../../../server/federation.ts';
import { openSums, type Unmasked } from '../../../server/round-sums.ts';
import { memoryStore } from '../../../server/store/memory.ts';
import type { Store } from '../../../server/store/store.ts';
import { identityOf, testPlan } from '../../e2e/server-harness.ts';

const NOISE = { mode: 'secagg+dp', clipNorm: 2, noiseMultiplier: 4, epsilon: 2.4, delta: 1e-5 };
const planWith = (privacy: object) =>
  testPlan({ rounds: { count: 3, cohort: 5, minReports: 5 }, privacy: { ...NOISE, ...privacy } });
const FACTS = {
  round: 0,
  attempt: 0,
  participants: 5,
  accepted: 5,
  recruitSeconds: 0,
  trainSeconds: 0,
  aggregateSeconds: 0,
  seconds: 0,
  bytesUp: 0,
  bytesDown: 0,
};

/** The sum of reports when its masks are off. */
function sumOf(reports: readonly Int32Array[]): Unmasked {
  const sum = new Int32Array(reports[0]!.length);
  for (const words of reports) addWords(sum, words);
  return { sum, participants: reports.map((_, i) => `p${i}` as ParticipantId) };
}

async function setting(privacy: object = {}, store: Store = memoryStore()) {
  const plan = planWith(privacy);
  const identity = await identityOf('coordinator');
  const federation = await openFederation({ plan, crypto: nodeCrypto, identity, store });
  const attempt = async (number: number) => {
    const progress = await resume(federation);
    const model = await federation.shelf.add('model', progress.model);
    const offer: Offer = {
      v: 1,
      task: plan.task,
      kind: 'train',
      round: progress.version,
      attempt: number,
      modelVersion: progress.version,
      modelHash: model.hash,
      planHash: federation.planRef.hash,
      nonce: new Uint8Array(32),
    };
    const sums = await openSums(federation, progress, { offer, offerHash: new Uint8Array(32).fill(number) }, model);
    return { progress, sums };
  };
  const words = (clipNorm?: number) => {
    const exchange = federation.exchanges[0]!;
    const delta = new Float32Array(exchange.sections[0]!.length).fill(0.01);
    const noise = { crypto: nodeCrypto, ...(clipNorm === undefined ? {} : { clipNorm }) };
    return buildReport(plan, exchange, { delta, 'metrics/loss': Float32Array.of(0) }, 9, noise);
  };
  return { plan, federation, attempt, words, store };
}

describe('the ledger', () => {
  test('[DP8] is charged with each sum, also of an attempt that is not committed, and both ε are in the summary', async () => {
    const { attempt, words, store, federation } = await setting({ epsilon: 10 });
    const failed = await attempt(0);
    await failed.sums.close(() => FACTS, sumOf([words()]));
    const { sums } = await attempt(1);
    const reports = Array.from({ length: 5 }, () => words());
    const { commit, summary } = (await sums.close(() => ({ ...FACTS, attempt: 1 }), sumOf(reports)))!;
    expect(await store.ledger(federation.run)).toMatchObject([
      { round: 0, attempt: 0, exchange: 0, charge: { noiseMultiplier: 4 } },
      { round: 0, attempt: 1, exchange: 0, charge: { epsilon: summary.epsilon } },
    ]);
    expect(summary.epsilon).toBeCloseTo(gaussianEpsilon(4, 2, 1e-5), 9);
    expect(summary.epsilonRdp).toBeCloseTo(rdpEpsilon(1, 4, 2, 1e-5).epsilon, 9);
    expect(summaryOf(commit)).toMatchObject({ epsilon: summary.epsilon, epsilonRdp: summary.epsilonRdp });
  });

  test('refuses the sum that would pass the budget, and charges nothing for it', async () => {
    const { attempt, words, store, federation } = await setting();
    expect(gaussianEpsilon(4, 3, 1e-5)).toBeLessThan(2.4);
    let opened = 0;
    for (;;) {
      const { sums } = await attempt(opened);
      try {
        await sums.close(() => FACTS, sumOf([words()]));
      } catch (thrown) {
        expect(thrown).toMatchObject({ code: 'privacy/budget-spent' });
        break;
      }
      opened += 1;
    }
    expect(gaussianEpsilon(4, opened, 1e-5)).toBeLessThanOrEqual(2.4);
    expect(gaussianEpsilon(4, opened + 1, 1e-5)).toBeGreaterThan(2.4);
    expect(await store.ledger(federation.run)).toHaveLength(opened);
  });

  test('comes first: what cannot be charged is not opened', async () => {
    const store: Store = {
      ...memoryStore(),
      charge: async () => {
        throw new Error('the disk is full');
      },
    };
    const { attempt, words } = await setting({}, store);
    const { sums } = await attempt(0);
    let opened = false;
    const unmasked = {
      ...sumOf([words()]),
      get sum() {
        opened = true;
        return words() as Int32Array<ArrayBuffer>;
      },
    };
    await expect(sums.close(() => FACTS, unmasked)).rejects.toThrow('the disk is full');
    expect(opened).toBe(false);
  });
});

describe('a clipping norm that adapts', () => {
  test('is brought with the first exchange, moves after the round and is kept with it', async () => {
    const adaptiveClipping = { quantile: 0.5, rate: 0.2 };
    const { attempt, words, store, federation } = await setting({
      adaptiveClipping,
      noiseMultiplier: 0.5,
      epsilon: 90,
    });
    const { sums } = await attempt(0);
    const bring = sums.starts[0]!.blobs.find(({ name }) => name === BROADCAST)!;
    const bytes = federation.shelf.chunk(bring.hash, 0).body;
    expect(decodeSafetensors(bytes).arrays[CLIP_NORM]!.data[0]).toBe(2);
    // every update is far shorter than 2, so the norm falls
    const reports = Array.from({ length: 5 }, () => words(2));
    const { commit } = (await sums.close(() => FACTS, sumOf(reports)))!;
    await store.commit(federation.run, commit);
    const next = await attempt(0);
    const moved = next.sums.starts[0]!.blobs.find(({ name }) => name === BROADCAST)!;
    const clipNorm = decodeSafetensors(federation.shelf.chunk(moved.hash, 0).body).arrays[CLIP_NORM]!.data[0]!;
    expect(clipNorm).not.toBe(2);
    expect(Math.abs(Math.log(clipNorm / 2))).toBeLessThanOrEqual(0.1 + 1e-6);
  });

  test('is not brought where the plan fixes it', async () => {
    const { sums } = await (await setting()).attempt(0);
    expect(sums.starts[0]!.blobs.map(({ name }) => name)).toEqual(['model']);
  });
});
