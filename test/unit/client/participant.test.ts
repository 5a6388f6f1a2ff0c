/** The participant against a scripted coordinator: what it does when all is well, and what it never does when it is not. */
import { describe, expect, it } from 'vitest';
import { memoryStore } from '../../../client/store.ts';
import { modelOf } from '../../../learning/model.ts';
import { toHex, utf8 } from '../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { TacitError } from '../../../protocol/errors.ts';
import { identityFromSeed } from '../../../protocol/identity.ts';
import type { ServerMessage } from '../../../protocol/messages.ts';
import { openSum } from '../../../protocol/report.ts';
import { decodeSafetensors, encodeSafetensors } from '../../../protocol/safetensors.ts';
import { exchangesOf } from '../../../protocol/sections.ts';
import { fakeCoordinator, type Mischief } from './fake-coordinator.ts';
import { smallPlan } from './fixture.ts';
import { fakeTrainer, plainOutput, start } from './participant-fixture.ts';

const plan = smallPlan();
const stranger = await identityFromSeed(nodeCrypto, new Uint8Array(32).fill(99));
const refusal = (code: string) => expect.objectContaining({ code });

/** Flips one bit of a field of the first reply of this type. */
const tampered =
  (type: ServerMessage['type'], field: string): NonNullable<Mischief['reply']> =>
  (reply) => {
    if (reply.type !== type) return reply;
    const bytes = (reply as unknown as Record<string, Uint8Array>)[field]!.slice();
    bytes[5]! ^= 1;
    return { ...reply, [field]: bytes } as ServerMessage;
  };

describe('a participant', () => {
  it('joins, trains, reports, sees the round committed and keeps the final model', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result, trainer } = await start(coordinator, {
      fingerprint: coordinator.fingerprint,
      seed: 'private',
    });
    expect(await event('joined')).toMatchObject({ fingerprint: coordinator.fingerprint, pinned: true, round: 0 });
    expect(await event('plan')).toMatchObject({ plan, planHash: toHex(coordinator.planHash) });
    const offerHash = await coordinator.offer();
    expect(await event('trained')).toMatchObject({ round: 0, attempt: 1, loss: 0.5, examples: 10 });
    await event('reported');
    expect(trainer.inputs[0]).toMatchObject({ round: 0, attempt: 1, seed: 'private', plan, local: undefined });
    await coordinator.commit(offerHash);
    expect(await event('committed')).toMatchObject({ round: 0, participants: 3, mine: true });
    const modelHash = toHex(await coordinator.finish());
    const { finalModel, ...rest } = await result;
    expect(rest).toMatchObject({ ended: 'finished', rounds: 1, reports: 1, modelHash });
    expect(rest.bytesUp).toBeGreaterThan(4 * modelOf(plan).reportShape.dimension);
    expect(rest.bytesDown).toBeGreaterThan(4 * modelOf(plan).reportShape.dimension);
    expect(decodeSafetensors(finalModel!).arrays).toEqual(coordinator.initial);
    expect(toHex(await nodeCrypto.sha256(finalModel!))).toBe(modelHash);
    expect(coordinator.sent('bye')).toHaveLength(1);
  });

  it('says what trains before anything else, and again when another engine has taken over', async () => {
    const coordinator = await fakeCoordinator(plan);
    const trainer = Object.assign(fakeTrainer(), { engine: 'compiled:test', reason: 'the fastest' });
    const { events, event } = await start(coordinator, {}, trainer);
    await event('plan');
    expect(events[0]).toEqual({ type: 'engine', engine: 'compiled:test', reason: 'the fastest' });
    trainer.output = (input) => {
      Object.assign(trainer, { engine: 'eager:test', reason: 'the compiled engine failed' });
      return plainOutput(input);
    };
    await coordinator.offer();
    await event('trained');
    const told = events.flatMap((e) => (e.type === 'engine' ? [`${e.engine}: ${e.reason}`] : []));
    expect(told).toEqual(['compiled:test: the fastest', 'eager:test: the compiled engine failed']);
  });

  it('reports what was trained, clipped and weighted as the plan says, and nothing else', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event } = await start(coordinator);
    await event('plan');
    await coordinator.offer();
    await event('reported');
    const model = modelOf(plan);
    const exchange = exchangesOf(plan, model.reportShape)[0]!;
    const opened = openSum(plan, exchange, coordinator.reports[0]!.words);
    const delta = opened.sections.delta!;
    const norm = Math.sqrt(delta.reduce((n, x) => n + x * x, 0));
    expect(norm).toBeLessThanOrEqual(plan.privacy.clipNorm * 1.0001);
    expect(delta[0]).toBeCloseTo(Math.min(1e-3, 1 / Math.sqrt(delta.length)), 5);
    expect(opened.weight).toBeCloseTo(10 / (plan.privacy as { maxExamples: number }).maxExamples, 5);
    expect(opened.metrics.loss).toBeCloseTo(0.5, 3);
  });

  it('gives what it kept to the next round, also after a restart', async () => {
    const coordinator = await fakeCoordinator(plan);
    const store = memoryStore();
    const kept = { task: plan.task, plan: 'key', lastRound: 0, arrays: coordinator.initial };
    const trainer = fakeTrainer();
    trainer.output = (input) => ({ ...plainOutput(input), local: kept });
    const first = await start(coordinator, { store }, trainer);
    await first.event('plan');
    const offerHash = await coordinator.offer();
    await first.event('reported');
    const modelHash = await nodeCrypto.sha256(encodeSafetensors(coordinator.initial));
    await coordinator.commit(offerHash, { modelHash });
    await first.event('committed');
    first.stop.abort();
    await first.result;
    const second = await start(coordinator, { store });
    await second.event('plan');
    await coordinator.offer({ round: 1 });
    await second.event('reported');
    expect(second.trainer.inputs[0]!.local).toEqual(kept);
  });
});

describe('a participant trusts nothing that is not signed', () => {
  it('leaves at once when the fingerprint is another one', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { result } = await start(coordinator, { fingerprint: 'A'.repeat(43) });
    await expect(result).rejects.toThrow(refusal('auth/wrong-fingerprint'));
    expect(coordinator.requests.map(({ type }) => type)).toEqual(['hello']);
  });

  it.each([
    ['welcome', 'signature', ['hello']],
    ['welcome', 'nonce', ['hello']],
    ['welcome', 'serverKey', ['hello']],
    ['joined', 'planSignature', ['hello', 'identify', 'join']],
    ['joined', 'planHash', ['hello', 'identify', 'join']],
    ['joined', 'aggregatorKey', ['hello', 'identify', 'join']],
    ['joined', 'aggregatorSignature', ['hello', 'identify', 'join']],
  ] as const)('leaves when %s has a wrong %s', async (type, field, asked) => {
    const coordinator = await fakeCoordinator(plan, { reply: tampered(type, field) });
    const { result } = await start(coordinator);
    await expect(result).rejects.toThrow(/signature|key/);
    expect(coordinator.requests.map((m) => m.type)).toEqual(asked);
  });

  it('never takes a plan whose bytes are not those that were signed', async () => {
    const served = utf8(JSON.stringify({ ...plan, privacy: { ...plan.privacy, clipNorm: 999 } }));
    const coordinator = await fakeCoordinator(plan, { servedPlan: served });
    const { result, events } = await start(coordinator, { retries: 1 });
    await expect(result).rejects.toThrow(refusal('wire/hash-mismatch'));
    expect(events.some(({ type }) => type === 'plan')).toBe(false);
  });

  it('leaves when an offer is signed by somebody else, without training', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result, trainer } = await start(coordinator);
    await event('plan');
    await coordinator.offer({}, coordinator.initial, stranger);
    await expect(result).rejects.toThrow(refusal('auth/bad-signature'));
    expect(trainer.inputs).toEqual([]);
  });

  it('leaves when the blobs of an exchange are not those that were signed', async () => {
    const coordinator = await fakeCoordinator(plan, {
      reply: (reply) => {
        if (reply.type !== 'exchange') return reply;
        const blobs = [{ ...reply.exchange.blobs[0]!, hash: new Uint8Array(32) }];
        return { ...reply, exchange: { ...reply.exchange, blobs } };
      },
    });
    const { event, result, trainer } = await start(coordinator);
    await event('plan');
    await coordinator.offer();
    await expect(result).rejects.toThrow(refusal('auth/bad-signature'));
    expect(trainer.inputs).toEqual([]);
  });

  it('leaves when `finished` is signed by somebody else', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result } = await start(coordinator);
    await event('plan');
    await coordinator.finish(coordinator.initial, stranger);
    await expect(result).rejects.toThrow(refusal('auth/bad-signature'));
  });

  it('leaves when the coordinator speaks no version that it knows', async () => {
    const coordinator = await fakeCoordinator(plan, {
      before: ({ type }) => {
        if (type === 'hello') throw new TacitError('wire/unsupported-version', 'version 9 only');
      },
    });
    const { result } = await start(coordinator);
    await expect(result).rejects.toThrow(refusal('wire/unsupported-version'));
  });
});

describe('leaving', () => {
  it.each(['waiting', 'training'])('while %s ends at once and tells the coordinator', async (phase) => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result, stop, trainer } = await start(coordinator);
    trainer.gate = new Promise(() => {});
    await event('plan');
    if (phase === 'training') {
      await coordinator.offer();
      await expect.poll(() => trainer.inputs.length).toBe(1);
    }
    stop.abort();
    expect(await result).toMatchObject({ ended: 'left', rounds: 0, reports: 0 });
    expect(coordinator.sent('bye')).toHaveLength(1);
    expect(trainer.cancelled).toBe(phase === 'training' ? 1 : 0);
  });

  it('does not wait for a coordinator that has fallen silent, nor for a pause', async () => {
    const coordinator = await fakeCoordinator(plan, { reply: () => undefined });
    const silent = await start(coordinator);
    await expect.poll(() => coordinator.requests.length).toBe(1);
    silent.stop.abort();
    expect(await silent.result).toMatchObject({ ended: 'left' });

    await coordinator.listener.close();
    const pausing = await start(coordinator, { backoff: { firstMs: 1e6, maxMs: 1e6 }, random: () => 1 });
    await pausing.event('retrying');
    pausing.stop.abort();
    expect(await pausing.result).toMatchObject({ ended: 'left' });
  });

  it('before anything has begun, connects to nobody', async () => {
    const coordinator = await fakeCoordinator(plan);
    const stop = new AbortController();
    stop.abort();
    const { result } = await start(coordinator, { signal: stop.signal });
    expect(await result).toMatchObject({ ended: 'left', bytesUp: 0 });
    expect(coordinator.peers.size).toBe(0);
  });
});
