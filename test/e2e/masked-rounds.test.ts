/** Rounds under masks, whole: the same model as without, participants that vanish at every step, keys that are never used twice. */
import { afterEach, describe, expect, test } from 'vitest';
import { memoryStore } from '../../client/store.ts';
import { modelOf } from '../../learning/model.ts';
import { compareBytes, toHex } from '../../protocol/bytes.ts';
import { decodeClientFrame, decodeServerFrame, encodeFrame } from '../../protocol/codec.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { flatten } from '../../protocol/flatten.ts';
import type { ClientMessage, ServerMessage } from '../../protocol/messages.ts';
import type { Plan } from '../../protocol/plan.ts';
import type { Connection } from '../../protocol/transport.ts';
import { uniformSampler } from '../../server/cohort.ts';
import type { RunResult } from '../../server/events.ts';
import { dealsWrongly, marksWrongly } from '../fixtures/secagg.ts';
import { certify, drawn, type Hall, type HallOptions, maskedHall, maskedPlan } from './masked-hall.ts';
import { expectedModel, identityOf, parametersOf, testPlan } from './server-harness.ts';

const open: Hall[] = [];
afterEach(async () => {
  for (const { coordinator, people } of open.splice(0)) {
    await coordinator.stop();
    for (const { stop } of people) stop.abort();
  }
});

async function hall(plan: Plan, options: HallOptions) {
  const at = await maskedHall(plan, options);
  open.push(at);
  return at;
}

/** The largest distance from federated averaging, written down naively, of these participants. */
function errorOf(plan: Plan, result: RunResult, at: Hall, who: readonly number[]): number {
  const before = flatten(modelOf(plan).init(plan.seed), modelOf(plan).aggregated);
  const updates = who.map((i) => drawn({ plan, participant: at.identities[i]!.id, round: 0 }));
  const expected = expectedModel(plan, before, updates);
  return parametersOf(plan, result.model).reduce((worst, x, i) => Math.max(worst, Math.abs(x - expected[i]!)), 0);
}

const EVERYONE = [0, 1, 2, 3, 4, 5];
const answering = (step: string) => (m: ClientMessage) => m.type === 'answer' && m.step === step;

describe('a round under masks', () => {
  test('gives the model that the same round gives when reports are sealed', async () => {
    const rounds = { count: 2, cohort: 6, minReports: 4 };
    const masked = await hall(maskedPlan({ rounds }), { count: 6 });
    const sealed = await hall(testPlan({ rounds }), { count: 6 });
    const [a, b] = await Promise.all([masked.run, sealed.run]);
    expect(a.modelHash).toBe(b.modelHash);
    expect(a.history.map(({ loss, weight, participants }) => [loss, weight, participants])).toEqual(
      b.history.map(({ loss, weight, participants }) => [loss, weight, participants]),
    );
    const results = await Promise.all(masked.people.map(({ result }) => result));
    expect(results.map(({ ended, reports }) => [ended, reports])).toEqual(EVERYONE.map(() => ['finished', 2]));
  });

  test('in which everyone is certified and in which one exchange follows another', async () => {
    const operator = await identityOf('operator');
    const plan = maskedPlan({
      strategy: { name: 'shared-statistics' },
      training: { steps: 1, batch: 2, optimiser: { name: 'adam', learningRate: 0.1 } },
      admission: { certificates: 'required', operatorKey: operator.id },
    });
    const certificates = await Promise.all(
      EVERYONE.map(async (i) => certify(operator, await identityOf(`masked-${i}`))),
    );
    const at = await hall(plan, { count: 6, join: (i) => ({ certificate: certificates[i]! }) });
    const result = await at.run;
    expect(result.history.map(({ participants }) => participants)).toEqual([6]);
    expect(at.events.filter(({ type }) => type === 'aggregating')).toHaveLength(2);
  });

  test.each([
    ['before its keys', answering('advertisement'), [0, 1, 2, 3, 5]],
    ['before its shares', answering('sealed-shares'), [0, 1, 2, 3, 5]],
    ['before its masked words', (m: ClientMessage) => m.type === 'upload', [0, 1, 2, 3, 5]],
    ['in the middle of its masked words', (m: ClientMessage) => m.type === 'put', [0, 1, 2, 3, 5]],
    ['before it agrees', answering('agreement'), EVERYONE],
    ['before it unmasks', answering('unmasking'), EVERYONE],
  ])('[MS2] one that vanishes for good %s costs the others nothing', async (_when, at, counted) => {
    const masked = await hall(maskedPlan(), { count: 6, fates: { 4: { at, gone: true } } });
    const result = await masked.run;
    expect(errorOf(masked.plan, result, masked, counted)).toBeLessThan(1e-6);
    expect(result.history[0]).toMatchObject({ attempt: 0, participants: counted.length });
  });

  test.each(['advertisement', 'sealed-shares', 'agreement', 'unmasking'])(
    '[MS3] [RD8] one that loses its connection at its %s and comes back is in it',
    async (step) => {
      const masked = await hall(maskedPlan(), {
        count: 6,
        fates: { 2: { at: answering(step) } },
        coordinator: { graceMs: 5000 },
      });
      const result = await masked.run;
      expect(errorOf(masked.plan, result, masked, EVERYONE)).toBeLessThan(1e-6);
      expect(masked.people[2]!.trainer.inputs).toHaveLength(1);
      expect((await masked.people[2]!.result).reports).toBe(1);
    },
  );

  test('[MS2] of which too few are left fails, and is tried again with new keys', async () => {
    const keys: string[] = [];
    let dumb = true;
    const masked = await hall(maskedPlan(), {
      count: 6,
      coordinator: { stageMs: 2000 },
      wire: (connection, index) => ({
        ...connection,
        send: async (frame) => {
          const { message, body } = decodeClientFrame(frame);
          if (message.type === 'answer' && message.step === 'advertisement') keys.push(toHex(body!));
          // three of them fall silent before their masked words
          if (!(dumb && index > 2 && message.type === 'upload')) await connection.send(frame);
        },
      }),
    });
    const failed = await masked.event('failed');
    dumb = false;
    expect(failed).toMatchObject({ attempt: 0, retry: true, code: 'round/too-few-reports' });
    const result = await masked.run;
    expect(errorOf(masked.plan, result, masked, EVERYONE)).toBeLessThan(1e-6);
    expect(result.history[0]).toMatchObject({ attempt: 1, participants: 6 });
    expect(keys).toHaveLength(12);
    expect(new Set(keys).size).toBe(12);
  });

  test('[MS1] answers again what was answered before, and nothing else in its place', async () => {
    const again: ServerMessage[] = [];
    const other: ServerMessage[] = [];
    const masked = await hall(maskedPlan(), {
      count: 6,
      wire: (connection, index) => {
        if (index !== 3) return connection;
        return {
          ...connection,
          send: async (frame) => {
            await connection.send(frame);
            const { message, body } = decodeClientFrame(frame);
            if (message.type !== 'answer') return;
            await connection.send(encodeFrame({ ...message, id: 1_000_000 + message.id }, body));
            await connection.send(encodeFrame({ ...message, id: 2_000_000 + message.id }, body!.slice(1)));
          },
          onFrame: (receive) =>
            connection.onFrame((frame) => {
              const { message } = decodeServerFrame(frame);
              const re = 're' in message ? (message.re ?? 0) : 0;
              if (re < 1_000_000) receive(frame);
              else (re < 2_000_000 ? again : other).push(message);
            }),
        };
      },
    });
    const result = await masked.run;
    expect(errorOf(masked.plan, result, masked, EVERYONE)).toBeLessThan(1e-6);
    await expect.poll(() => other.length).toBe(4);
    expect(again.map(({ type }) => type)).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(other.map(({ type }) => type)).toEqual(['error', 'error', 'error', 'error']);
  });

  test('[MS4] in which somebody sends other words than a report can hold fails when the masks are off', async () => {
    const mauled = {
      ...nodeCrypto,
      applyMasks: async (words: Int32Array, masks: Parameters<typeof nodeCrypto.applyMasks>[1]) => {
        await nodeCrypto.applyMasks(words, masks);
        for (let i = 0; i < words.length; i++) words[i]! ^= 0x5a5a5a5a;
      },
    };
    const masked = await hall(maskedPlan(), { count: 6, join: (i) => (i === 1 ? { crypto: mauled } : {}) });
    expect(await masked.event('failed')).toMatchObject({ code: 'report/out-of-bounds' });
  });

  test('spoilt by somebody among them is made with others in the next attempt', async () => {
    const plan = maskedPlan({ rounds: { cohort: 4, minReports: 4 } });
    const ids = await Promise.all(Array.from({ length: 8 }, async (_, i) => (await identityOf(`masked-${i}`)).id));
    const [first] = uniformSampler.apply(uniformSampler.init(), { seed: plan.seed, round: 0, candidates: ids });
    const spoiling = {
      ...nodeCrypto,
      applyMasks: async (words: Int32Array, masks: Parameters<typeof nodeCrypto.applyMasks>[1]) => {
        await nodeCrypto.applyMasks(words, masks);
        for (let i = 0; i < words.length; i++) words[i]! ^= 0x5a5a5a5a;
      },
    };
    const masked = await hall(plan, { count: 8, join: (i) => (ids[i] === first ? { crypto: spoiling } : {}) });
    expect(await masked.event('failed')).toMatchObject({ attempt: 0, code: 'report/out-of-bounds' });
    expect((await masked.run).history[0]).toMatchObject({ attempt: 1, participants: 4 });
  });

  test('kept closed by what one of them dealt goes on without that one, although everybody was asked', async () => {
    const masked = await hall(maskedPlan({ rounds: { count: 2, cohort: 6, minReports: 5 } }), {
      count: 6,
      join: (i) => (i === 3 ? { crypto: dealsWrongly } : {}),
      coordinator: { settleMs: 20 },
    });
    expect(await masked.event('failed')).toMatchObject({ attempt: 0, code: 'secagg/unrecoverable' });
    const result = await masked.run;
    expect(result.history.map(({ attempt, participants }) => [attempt, participants])).toEqual([
      [1, 5],
      [0, 5],
    ]);
    expect(masked.people[3]!.trainer.inputs).toHaveLength(1);
  });

  test('[SS5] [SS6] of which one sends boxes that do not hold what they should is made again at once, without that one', async () => {
    const { publicKey } = await identityOf('masked-3');
    const masked = await hall(maskedPlan({ rounds: { count: 2, cohort: 6, minReports: 5 } }), {
      count: 6,
      join: (i) => (i === 3 ? { crypto: marksWrongly(publicKey) } : {}),
      coordinator: { settleMs: 20 },
    });
    expect(await masked.event('failed')).toMatchObject({ attempt: 0, code: 'secagg/bad-share' });
    const result = await masked.run;
    expect(result.history.map(({ attempt, participants }) => [attempt, participants])).toEqual([
      [1, 5],
      [0, 5],
    ]);
    expect(masked.events.filter((event) => event.type === 'refused' && event.request === 'sealed-shares')).toEqual([
      { type: 'refused', participant: masked.identities[3]!.id, request: 'sealed-shares', code: 'secagg/bad-share' },
    ]);
    expect(masked.people[3]!.trainer.inputs).toHaveLength(1);
  });

  test('[SS6] of which one gives wrong shares is committed all the same, and that one is asked no more', async () => {
    const lying = (connection: Connection): Connection => ({
      ...connection,
      send: async (frame) => {
        const { message, body } = decodeClientFrame(frame);
        if (!answering('unmasking')(message)) return connection.send(frame);
        const wrong = body!.slice();
        for (let at = wrong.length - 6 * 33; at < wrong.length; at += 33) wrong[at]! ^= 1;
        return connection.send(encodeFrame(message, wrong));
      },
    });
    // whose shares are used first
    const keys = await Promise.all(EVERYONE.map(async (i) => (await identityOf(`masked-${i}`)).publicKey));
    const lowest = EVERYONE.toSorted((a, b) => compareBytes(keys[a]!, keys[b]!))[0]!;
    const masked = await hall(maskedPlan({ rounds: { count: 2, cohort: 6, minReports: 5 } }), {
      count: 6,
      wire: (connection, i) => (i === lowest ? lying(connection) : connection),
      coordinator: { settleMs: 20 },
    });
    const result = await masked.run;
    expect(result.history.map(({ attempt, participants }) => [attempt, participants])).toEqual([
      [0, 6],
      [0, 5],
    ]);
    expect(masked.events.filter((event) => event.type === 'refused' && event.request === 'unmasking')).toEqual([
      { type: 'refused', participant: masked.identities[lowest]!.id, request: 'unmasking', code: 'secagg/bad-share' },
    ]);
  });

  test('[MS6] is left by one for whom the certificates of the others do not hold, whatever the coordinator thinks', async () => {
    const operator = await identityOf('operator');
    const plan = maskedPlan({ admission: { certificates: 'required', operatorKey: operator.id } });
    const certificates = await Promise.all(
      EVERYONE.map(async (i) => certify(operator, await identityOf(`masked-${i}`))),
    );
    const inTwoYears = Date.now() + 2 * 365 * 86_400_000;
    const masked = await hall(plan, {
      count: 6,
      join: (i) => ({ certificate: certificates[i]!, ...(i === 5 ? { now: () => inTwoYears } : {}) }),
    });
    await expect(masked.people[5]!.result).rejects.toThrow(
      expect.objectContaining({ code: 'auth/certificate-invalid' }),
    );
    expect((await masked.run).history[0]).toMatchObject({ participants: 5 });
  });

  test('[MS5] counts as a contribution when its masked words leave, not before', async () => {
    const notebooks: Record<string, number>[] = [];
    const masked = await hall(maskedPlan({ rounds: { cohort: 8 } }), {
      count: 8,
      fates: { 0: { at: answering('sealed-shares'), gone: true }, 1: { at: answering('agreement'), gone: true } },
      join: (i) => {
        const store = memoryStore();
        const update: typeof store.update = (name, change) =>
          store.update(name, (before) => {
            const after = change(before);
            if (after) notebooks[i] = JSON.parse(new TextDecoder().decode(after)).contributions;
            return after;
          });
        return { store: { ...store, update } };
      },
    });
    await masked.run;
    expect(notebooks.slice(0, 2).map((counts) => Object.values(counts))).toEqual([[], [1]]);
  });
});
