/** Whole rounds of mode `secagg+dp`: real participants, real masks, noise that is there and adds up, ledgers on both sides. */
import { afterEach, describe, expect, test } from 'vitest';
import { epsilonAfter, readNotebook } from '../../client/notebook.ts';
import { parsePolicy } from '../../client/policy.ts';
import { memoryStore as participantStore } from '../../client/store.ts';
import { modelOf } from '../../learning/model.ts';
import { decodeServerFrame } from '../../protocol/codec.ts';
import { flatten } from '../../protocol/flatten.ts';
import type { HashHex } from '../../protocol/ids.ts';
import { gaussianEpsilon } from '../../protocol/privacy/gaussian.ts';
import { memoryStore } from '../../server/store/memory.ts';
import type { Store } from '../../server/store/store.ts';
import { drawn, maskedHall } from './masked-hall.ts';
import { parametersOf, testPlan } from './server-harness.ts';

const NOISE = { mode: 'secagg+dp', clipNorm: 2, noiseMultiplier: 0.5, epsilon: 60, delta: 1e-5 };
const plan = (privacy: object = {}, rounds: object = {}) =>
  testPlan({
    rounds: { count: 1, cohort: 6, minReports: 4, ...rounds },
    privacy: { ...NOISE, ...privacy },
  });

let stop = async (): Promise<void> => {};
afterEach(() => stop());

/** A policy that admits these noises, which no real one would. */
const policy = parsePolicy({ minSecureCohort: 3, maxEpsilon: 60 });

describe('a noised round', () => {
  test('opens to the mean of the clipped updates and the noise that the plan says, although one was lost', async () => {
    const terms = plan();
    const store = memoryStore();
    const notebooks = Array.from({ length: 6 }, () => participantStore());
    const at = await maskedHall(terms, {
      count: 6,
      coordinator: { store },
      fates: { 2: { gone: true, at: (m) => m.type === 'upload' } },
      join: (i) => ({ policy, store: notebooks[i]! }),
    });
    stop = () => at.coordinator.stop();
    const { model, history } = await at.run;
    expect(history[0]!.participants).toBe(5);
    const before = flatten(modelOf(terms).init(terms.seed), modelOf(terms).aggregated);
    const updates = [0, 1, 3, 4, 5].map(
      (i) => drawn({ plan: terms, participant: at.identities[i]!.id, round: 0 }).delta,
    );
    const clipped = updates.map((delta) => {
      const norm = Math.sqrt(delta.reduce((n, x) => n + x * x, 0));
      return delta.map((x) => x * Math.min(1, 2 / norm));
    });
    // each of five adds σ = z·C/√2, of which two of four would be enough; divided by the plan's cohort of 6
    const sigma = (0.5 * 2 * Math.sqrt(1.01) * Math.sqrt(5 / 2)) / 6;
    const squares = parametersOf(terms, model).map((x, i) => {
      const expected = before[i]! + clipped.reduce((sum, delta) => sum + delta[i]!, 0) / 6;
      return ((x - expected) / sigma) ** 2;
    });
    const variance = squares.reduce((a, b) => a + b, 0) / squares.length;
    expect(Math.abs(variance - 1)).toBeLessThan(6.2 * Math.sqrt(2 / squares.length) + 0.01);

    const spent = gaussianEpsilon(0.5, 1, 1e-5);
    expect(history[0]!.epsilon).toBeCloseTo(spent, 9);
    expect(history[0]!.epsilonRdp).toBeGreaterThan(spent);
    const run = (await at.event('committed')).summary;
    expect(run.epsilon).toBeCloseTo(spent, 9);
  });

  test('is charged on both sides, and a run goes on until the plan ends it', async () => {
    const adaptiveClipping = { quantile: 0.5, rate: 0.2 };
    const terms = plan({ adaptiveClipping }, { count: 3 });
    const store = memoryStore();
    const keep = participantStore();
    const names: string[] = [];
    const watched = {
      ...keep,
      update: (name: string, change: (before: Uint8Array | undefined) => Uint8Array | undefined) => {
        names.push(name);
        return keep.update(name, change);
      },
    };
    const at = await maskedHall(terms, {
      count: 6,
      coordinator: { store },
      join: (i) => ({ policy, ...(i === 0 ? { store: watched } : {}) }),
    });
    stop = () => at.coordinator.stop();
    const { rounds, history } = await at.run;
    expect(rounds).toBe(3);
    expect(history.map(({ epsilon }) => epsilon)).toEqual(
      [1, 2, 3].map((k) => expect.closeTo(gaussianEpsilon(0.5, k, 1e-5), 6)),
    );
    const charged = await store.ledger(at.coordinator.info()!.planHash as HashHex);
    expect(charged.map(({ round, exchange }) => [round, exchange])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
    ]);
    const notebook = await readNotebook(keep, names.find((name) => name.startsWith('notebook'))!);
    expect(notebook.privacy?.releases).toBe(3);
    expect(epsilonAfter(notebook, 1e-5)).toBeCloseTo(gaussianEpsilon(0.5, 3, 1e-5), 6);
    const said = at.people[0]!.events.filter((event) => event.type === 'charged');
    expect(said.map(({ epsilon }) => epsilon)).toEqual(
      [1, 2, 3].map((k) => expect.closeTo(gaussianEpsilon(0.5, k, 1e-5), 6)),
    );
  });

  test('[DP8] is charged before anyone is asked for what opens its sum', async () => {
    const terms = plan();
    const kept = memoryStore();
    const course: string[] = [];
    const store: Store = {
      ...kept,
      charge: async (run, entry) => {
        await new Promise((resolve) => setTimeout(resolve, 20)); // a slow disk
        await kept.charge(run, entry);
        course.push('charged');
      },
    };
    const at = await maskedHall(terms, {
      count: 6,
      coordinator: { store },
      join: () => ({ policy }),
      wire: (connection) => ({
        ...connection,
        onFrame: (receive) =>
          connection.onFrame((frame) => {
            const { message } = decodeServerFrame(frame);
            if (message.type === 'stage' && message.step === 'agreements') course.push('asked');
            receive(frame);
          }),
      }),
    });
    stop = () => at.coordinator.stop();
    await at.run;
    expect(course).toEqual(['charged', ...Array(6).fill('asked')]);
  });

  test('is declined by a participant whose own budget it would pass, and goes on without it', async () => {
    const terms = plan({}, { count: 2, maxAttempts: 2 });
    const at = await maskedHall(terms, {
      count: 6,
      coordinator: { store: memoryStore() },
      // one has spent most of its budget before: the first round is its last
      join: (i) => (i === 0 ? { policy, store: spentBefore } : { policy }),
    });
    stop = () => at.coordinator.stop();
    const { history } = await at.run;
    expect(history.map(({ participants }) => participants)).toEqual([6, 5]);
    const declined = at.events.filter((event) => event.type === 'declined');
    expect(declined.every((event) => event.code === 'privacy/budget-spent')).toBe(true);
    expect(declined.length).toBeGreaterThan(0);
  });
});

/** A store whose notebook, whatever its name, tells of a budget all but used up. */
const spentBefore = (() => {
  const store = participantStore();
  const notebook = { version: 1, runs: {}, contributions: {}, acceptedAtMs: [], privacy: { releases: 9, squares: 50 } };
  return {
    ...store,
    read: async (name: string) =>
      (await store.read(name)) ??
      (name.startsWith('notebook') ? new TextEncoder().encode(JSON.stringify(notebook)) : undefined),
  };
})();
