/** The participant against a scripted coordinator: what it does when all is well, and what it never does when it is not. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY, type LocalPolicy } from '../../../client/policy.ts';
import { memoryStore } from '../../../client/store.ts';
import { modelOf } from '../../../learning/model.ts';
import { toHex, utf8 } from '../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { TacitError } from '../../../protocol/errors.ts';
import { GENESIS_HEAD, identityFromSeed } from '../../../protocol/identity.ts';
import type { ClientMessage, CommitRecord, ServerMessage } from '../../../protocol/messages.ts';
import { openSum } from '../../../protocol/report.ts';
import { decodeSafetensors, encodeSafetensors } from '../../../protocol/safetensors.ts';
import { exchangesOf } from '../../../protocol/sections.ts';
import { type FakeCoordinator, fakeCoordinator, type Mischief } from './fake-coordinator.ts';
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

describe('the local policy', () => {
  it('refuses a plan with every reason, before anything is trained', async () => {
    const coordinator = await fakeCoordinator(plan);
    const policy = { ...DEFAULT_POLICY, encoders: ['conv'], minCohort: 10 };
    const { result, events, trainer } = await start(coordinator, { policy });
    await expect(result).rejects.toThrow(refusal('policy/refused'));
    const refused = events.find(({ type }) => type === 'refused');
    expect(refused).toMatchObject({ refusals: [{ floor: 'encoders' }, { floor: 'minCohort' }] });
    expect(trainer.inputs).toEqual([]);
  });

  it.each([
    ['is incomplete', { encoders: ['conv'] }],
    ['has a floor of another type', { ...DEFAULT_POLICY, minSecureCohort: Number.NaN }],
  ])('that %s does not let through what it does not say', async (_what, given) => {
    const coordinator = await fakeCoordinator(plan);
    const { result, trainer } = await start(coordinator, { policy: given as unknown as LocalPolicy });
    await expect(result).rejects.toMatchObject({ code: expect.stringMatching(/^policy\//) });
    expect(trainer.inputs).toEqual([]);
  });

  it('declines offers that are stale, for another plan or of another kind, and stays', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    await event('plan');
    await coordinator.offer({ planHash: new Uint8Array(32) });
    expect(await event('declined', 0)).toMatchObject({ code: 'policy/refused' });
    await coordinator.offer({ kind: 'evaluate' });
    expect(await event('declined', 1)).toMatchObject({ code: 'policy/refused' });
    await coordinator.offer({ round: 0, attempt: 2 });
    await event('reported');
    await coordinator.offer({ round: 0, attempt: 1 });
    expect(await event('declined', 2)).toMatchObject({ code: 'round/stale' });
    expect(trainer.inputs).toHaveLength(1);
    await expect.poll(() => coordinator.sent('decline').length).toBe(3);
  });

  it('contributes to one model twice and not a third time', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    await event('plan');
    for (const [i, attempt] of [1, 2].entries()) {
      await coordinator.offer({ attempt });
      await event('reported', i);
    }
    await coordinator.offer({ attempt: 3 });
    expect(await event('declined')).toMatchObject({ code: 'round/too-many-contributions' });
    expect(trainer.inputs).toHaveLength(2);
  });

  it('remembers contributions over a restart', async () => {
    const coordinator = await fakeCoordinator(plan);
    const policy = { ...DEFAULT_POLICY, maxContributionsPerModel: 1 };
    const store = memoryStore();
    const first = await start(coordinator, { store, policy });
    await first.event('plan');
    await coordinator.offer();
    await first.event('reported');
    first.stop.abort();
    await first.result;
    const second = await start(coordinator, { store, policy });
    await second.event('plan');
    await coordinator.offer({ attempt: 2 });
    expect(await second.event('declined')).toMatchObject({ code: 'round/too-many-contributions' });
  });

  it('shares its limits with another process or tab of the same participant', async () => {
    const [one, other] = [
      await fakeCoordinator(plan, {}, new Uint8Array(32).fill(5)),
      await fakeCoordinator(plan, {}, new Uint8Array(32).fill(5)),
    ];
    const policy = { ...DEFAULT_POLICY, maxContributionsPerModel: 1 };
    const store = memoryStore();
    const trainer = fakeTrainer();
    let open = (): void => {};
    trainer.gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const first = await start(one, { store, policy });
    const second = await start(other, { store, policy }, trainer);
    await Promise.all([first.event('plan'), second.event('plan')]);
    // both accept while nothing has been sent for the model; then one is faster
    await other.offer();
    await second.event('offer');
    await one.offer({ attempt: 2 });
    await first.event('reported');
    open();
    expect(await second.event('failed')).toMatchObject({ code: 'round/too-many-contributions' });
    expect(other.sent('upload')).toHaveLength(0);
    await other.offer({ attempt: 3 });
    expect(await second.event('declined')).toMatchObject({ code: 'round/too-many-contributions' });
  });

  it('counts a contribution before it leaves, so that a crash can only make it more careful', async () => {
    const coordinator = await fakeCoordinator(plan);
    const store = memoryStore();
    const written: string[] = [];
    const { event } = await start(coordinator, {
      store: {
        ...store,
        update: (name, change) =>
          store.update(name, (before) => {
            const after = change(before);
            written.push(`${new TextDecoder().decode(after)} after ${coordinator.sent('upload').length} uploads`);
            return after;
          }),
      },
    });
    await event('plan');
    await coordinator.offer();
    await event('reported');
    expect(written.find((text) => /"contributions":\{"[0-9a-f]{64}":1\}/.test(text))).toMatch(/after 0 uploads/);
  });
});

describe('models that cannot be trained on', () => {
  const broken =
    (change: (data: Float32Array) => void) => (arrays: Awaited<ReturnType<typeof fakeCoordinator>>['initial']) =>
      Object.fromEntries(
        Object.entries(arrays).map(([name, array], i) => {
          const data = Float32Array.from(array.data);
          if (i === 0) change(data);
          return [name, { ...array, data }];
        }),
      );

  it('a model with NaN is neither trained nor answered with a report; the next one is', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    await event('plan');
    const withNaN = broken((data) => {
      data[3] = Number.NaN;
    });
    await coordinator.offer({}, withNaN(coordinator.initial));
    expect(await event('failed')).toMatchObject({ code: 'weights/not-finite' });
    expect(trainer.inputs).toEqual([]);
    await coordinator.offer({ attempt: 2 });
    await event('reported');
    expect(coordinator.sent('decline')).toEqual([expect.objectContaining({ code: 'weights/not-finite' })]);
  });

  it('nor is a model of other shapes', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    await event('plan');
    const { ...fewer } = coordinator.initial as Record<string, (typeof coordinator.initial)[string]>;
    delete fewer[Object.keys(fewer)[0]!];
    await coordinator.offer({}, fewer);
    expect(await event('failed')).toMatchObject({ code: 'weights/mismatch' });
    expect(trainer.inputs).toEqual([]);
  });

  it('training that diverges sends nothing, and after three times it leaves', async () => {
    const coordinator = await fakeCoordinator(plan);
    const trainer = fakeTrainer();
    trainer.output = () => {
      throw new TacitError('report/not-finite', 'the loss is NaN');
    };
    const { event, result } = await start(coordinator, {}, trainer);
    await event('plan');
    await coordinator.offer({ attempt: 1 });
    await event('failed', 0);
    await coordinator.offer({ attempt: 2 });
    await event('failed', 1);
    await coordinator.offer({ attempt: 3 });
    await expect(result).rejects.toThrow(refusal('report/not-finite'));
    expect(coordinator.sent('upload')).toEqual([]);
    expect(coordinator.sent('decline')).toHaveLength(2);
  });

  it('data that cannot be read end the participation with their own code', async () => {
    const coordinator = await fakeCoordinator(plan);
    const trainer = fakeTrainer();
    trainer.output = () => {
      throw new TacitError('data/unreadable', 'cat.png is truncated');
    };
    const { event, result } = await start(coordinator, {}, trainer);
    await event('plan');
    await coordinator.offer();
    await expect(result).rejects.toThrow(refusal('data/unreadable'));
  });

  it('data that do not fit the plan end it before the first round', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { result, events } = await start(coordinator, {
      checkData: async () => {
        throw new TacitError('data/too-few-examples', 'one image');
      },
    });
    await expect(result).rejects.toThrow(refusal('data/too-few-examples'));
    expect(events.some(({ type }) => type === 'plan')).toBe(false);
  });
});

/** Rounds that are committed while nobody looks. */
async function missRounds(coordinator: FakeCoordinator, count: number): Promise<void> {
  for (let round = 0; round < count; round++) {
    await coordinator.commit(new Uint8Array(32).fill(round), { round }, coordinator.identity, { silent: true });
  }
}

describe('the transcript', () => {
  const long = smallPlan({ rounds: { count: 9 } });

  it('is followed link by link, and a record of another history ends the participation', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result } = await start(coordinator);
    await event('plan');
    await coordinator.commit(await coordinator.offer({ attempt: 1 }));
    await event('committed', 0);
    await coordinator.commit(new Uint8Array(32).fill(8), { round: 1 });
    expect(await event('committed', 1)).toMatchObject({ mine: false });
    await coordinator.commit(new Uint8Array(32).fill(8), { prevHead: GENESIS_HEAD });
    await expect(result).rejects.toThrow(refusal('auth/forked-transcript'));
  });

  it('takes no record that somebody else has signed', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result } = await start(coordinator);
    await event('plan');
    await coordinator.commit(new Uint8Array(32).fill(8), {}, stranger);
    await expect(result).rejects.toThrow(refusal('auth/bad-signature'));
  });

  it.each([
    ['fewer rounds', { round: 0, head: GENESIS_HEAD }],
    ['another head', { round: 1, head: new Uint8Array(32).fill(5) }],
  ])('%s than before, after a lost connection: refused', async (_what, standing) => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result } = await start(coordinator);
    await event('plan');
    await coordinator.commit(new Uint8Array(32).fill(8));
    await event('committed');
    coordinator.setStanding(standing);
    coordinator.drop();
    await expect(result).rejects.toThrow(refusal('auth/forked-transcript'));
  });

  it('of more rounds than the plan has is not followed: it could be made up without end', async () => {
    const coordinator = await fakeCoordinator(plan);
    coordinator.setStanding({ round: 2 ** 32 - 1, head: new Uint8Array(32).fill(3) });
    const { result } = await start(coordinator);
    await expect(result).rejects.toThrow(refusal('auth/forked-transcript'));
    expect(coordinator.sent('history')).toEqual([]);
  });

  it('says which model the next round starts from: another is declined', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    await event('plan');
    await coordinator.commit(new Uint8Array(32).fill(8));
    await event('committed');
    await coordinator.offer({ round: 1 });
    expect(await event('declined')).toMatchObject({ code: 'policy/refused' });
    expect(trainer.inputs).toEqual([]);
  });

  it('more rounds than before are taken over', async () => {
    const coordinator = await fakeCoordinator(long);
    const { event } = await start(coordinator);
    await event('plan');
    await missRounds(coordinator, 5);
    coordinator.drop();
    expect(await event('joined', 1)).toMatchObject({ round: 5 });
    await coordinator.offer({ round: 5 });
    expect(await event('declined')).toMatchObject({ code: 'policy/refused' }); // not the model of the record that it has seen
    expect(coordinator.sent('history').map((m) => (m as { from?: number }).from)).toEqual([0, 2, 4]);
  });

  it('a notice that was missed is asked for, and the next one taken', async () => {
    const coordinator = await fakeCoordinator(long);
    const { event } = await start(coordinator);
    await event('plan');
    await missRounds(coordinator, 3);
    await coordinator.commit(new Uint8Array(32).fill(8), { round: 3 });
    expect(await event('committed')).toMatchObject({ round: 3, mine: false });
    expect(coordinator.sent('history')).toHaveLength(2);
  });

  it.each([
    ['held back', 'auth/forked-transcript', (records: CommitRecord[]) => records.splice(1)],
    ['left out', 'auth/forked-transcript', (records: CommitRecord[]) => records.splice(1, 1)],
    [
      'changed',
      'auth/forked-transcript',
      (records: CommitRecord[]) => {
        records[1] = { ...records[1]!, participants: 99 };
      },
    ],
    [
      'signed by nobody',
      'auth/bad-signature',
      (records: CommitRecord[]) => {
        records[4] = { ...records[4]!, signature: new Uint8Array(64) };
      },
    ],
  ])('a missed record that is %s is %s', async (_what, code, falsify) => {
    const coordinator = await fakeCoordinator(long);
    await missRounds(coordinator, 5);
    falsify(coordinator.records);
    const { result } = await start(coordinator);
    await expect(result).rejects.toThrow(refusal(code));
  });

  it('a commit of a round whose own report was not acknowledged is not mine', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    trainer.gate = new Promise(() => {});
    await event('plan');
    const offerHash = await coordinator.offer();
    await expect.poll(() => trainer.inputs.length).toBe(1);
    await coordinator.commit(offerHash);
    expect(await event('committed')).toMatchObject({ mine: false });
    await expect.poll(() => trainer.cancelled).toBe(1);
  });
});

describe('attempts that are overtaken', () => {
  it('a later attempt stops the training of an earlier one', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    trainer.gate = new Promise(() => {});
    await event('plan');
    await coordinator.offer({ attempt: 1 });
    await expect.poll(() => trainer.inputs.length).toBe(1);
    trainer.gate = undefined;
    await coordinator.offer({ attempt: 2 });
    expect(await event('reported')).toMatchObject({ attempt: 2 });
    expect(trainer.cancelled).toBe(1);
    expect(coordinator.reports).toHaveLength(1);
  });

  it('a failed attempt stops its training, and the next is taken', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    trainer.gate = new Promise(() => {});
    await event('plan');
    const offerHash = await coordinator.offer();
    await expect.poll(() => trainer.inputs.length).toBe(1);
    coordinator.broadcast({
      type: 'failed',
      offerHash,
      round: 0,
      attempt: 1,
      code: 'round/too-few-reports',
      retryAfterMs: 0,
    });
    expect(await event('failed')).toMatchObject({ code: 'round/too-few-reports' });
    await expect.poll(() => trainer.cancelled).toBe(1);
    trainer.gate = undefined;
    await coordinator.offer({ attempt: 2 });
    await event('reported');
  });

  it('the same offer again is not taken twice', async () => {
    const coordinator = await fakeCoordinator(plan);
    let seen: ServerMessage | undefined;
    const { event, trainer } = await start(coordinator);
    await event('plan');
    const { broadcast } = coordinator;
    for (const peer of coordinator.joinedPeers) {
      const { send } = peer;
      Object.assign(peer, {
        send: (m: ServerMessage, body?: Uint8Array) => {
          if (m.type === 'offer') seen = m;
          return send(m, body);
        },
      });
    }
    await coordinator.offer();
    await event('reported');
    broadcast(seen!);
    await coordinator.offer({ attempt: 2 });
    await event('reported', 1);
    expect(trainer.inputs).toHaveLength(2);
    expect(coordinator.sent('accept')).toHaveLength(2);
  });

  it('an upload waits when the coordinator has no room, on the same connection', async () => {
    let full = 2;
    const coordinator = await fakeCoordinator(plan, {
      before: ({ type }) => {
        if (type === 'upload' && full-- > 0) throw new TacitError('wire/rate-limited', 'full', { retryAfterMs: 1 });
      },
    });
    const { event, events } = await start(coordinator);
    await event('plan');
    await coordinator.offer();
    await event('reported');
    expect(coordinator.sent('upload')).toHaveLength(3);
    expect(events.some(({ type }) => type === 'retrying')).toBe(false);
  });
});

describe('lost connections', () => {
  const phases: readonly ClientMessage['type'][] = [
    'hello',
    'identify',
    'join',
    'ask',
    'accept',
    'upload',
    'put',
    'commit',
  ];

  it.each(phases)('one during "%s" costs neither a second training nor a second report', async (phase) => {
    let lose = true;
    let closing: () => void = () => {};
    const coordinator = await fakeCoordinator(plan, {
      before: ({ type }) => {
        if (type !== phase || !lose) return;
        lose = false;
        closing();
        throw new TacitError('net/closed', 'lost');
      },
    });
    closing = coordinator.drop;
    const { event, result, trainer } = await start(coordinator);
    await event('plan');
    const offerHash = await coordinator.offer();
    await event('reported');
    await coordinator.commit(offerHash);
    expect(await event('committed')).toMatchObject({ mine: true });
    await coordinator.finish();
    expect(await result).toMatchObject({ ended: 'finished', reports: 1 });
    expect(lose).toBe(false);
    expect(trainer.inputs).toHaveLength(1);
    expect(coordinator.reports).toHaveLength(1);
  });

  it('one during training: training goes on, and its report is sent on the next connection', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    let release: () => void = () => {};
    trainer.gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    await event('plan');
    await coordinator.offer();
    await expect.poll(() => trainer.inputs.length).toBe(1);
    coordinator.drop();
    await event('joined', 1);
    release();
    await event('reported');
    expect(trainer.inputs).toHaveLength(1);
    expect(trainer.cancelled).toBe(0);
  });

  it('one in the middle of an upload: it goes on from what the coordinator holds', async () => {
    const large = smallPlan({ encoder: { name: 'mlp', hidden: [700, 700], dim: 64 } });
    let chunks = 0;
    let closing: () => void = () => {};
    const coordinator = await fakeCoordinator(large, {
      before: ({ type }) => {
        if (type === 'put' && ++chunks === 6) {
          closing();
          throw new TacitError('net/closed', 'lost');
        }
      },
    });
    closing = coordinator.drop;
    const { event } = await start(coordinator);
    await event('plan');
    await coordinator.offer();
    await event('reported');
    const offsets = coordinator.sent('put').map((m) => (m.type === 'put' ? m.offset : 0));
    expect(offsets.length).toBeGreaterThan(8);
    expect(offsets.filter((offset) => offset === 0)).toHaveLength(1);
  });

  it('one after the report was taken but before the answer: it is not sent again', async () => {
    let lose = true;
    let closing: () => void = () => {};
    const coordinator = await fakeCoordinator(plan, {
      reply: (reply, request) => {
        if (request.type !== 'commit' || !lose) return reply;
        lose = false;
        closing();
        return undefined;
      },
    });
    closing = coordinator.drop;
    const { event, trainer } = await start(coordinator);
    await event('plan');
    const offerHash = await coordinator.offer();
    await event('reported');
    await coordinator.commit(offerHash);
    expect(await event('committed')).toMatchObject({ mine: true });
    expect(trainer.inputs).toHaveLength(1);
    expect(coordinator.reports).toHaveLength(1);
  });

  it('the attempt was over meanwhile: the report is dropped, and the next offer is taken', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    let release: () => void = () => {};
    trainer.gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    await event('plan');
    await coordinator.offer({ attempt: 1 });
    await expect.poll(() => trainer.inputs.length).toBe(1);
    coordinator.drop();
    await event('joined', 1);
    await coordinator.offer({ attempt: 2 });
    await event('offer', 1);
    release();
    expect(await event('reported')).toMatchObject({ attempt: 2 });
    expect(coordinator.reports).toHaveLength(1);
  });

  it('are tried again with growing pauses, as often as was asked, and then reported', async () => {
    const coordinator = await fakeCoordinator(plan);
    await coordinator.listener.close();
    const { result, events } = await start(coordinator, {
      retries: 3,
      random: () => 1,
      backoff: { firstMs: 2, maxMs: 5 },
    });
    await expect(result).rejects.toThrow(refusal('net/unreachable'));
    const waits = events.flatMap((e) => (e.type === 'retrying' ? [e.waitMs] : []));
    expect(waits).toEqual([2, 4, 5]);
  });

  it('a coordinator that is gone after the last round has finished, as its signed record says', async () => {
    const short = smallPlan({ rounds: { count: 1, cohort: 3 } });
    const coordinator = await fakeCoordinator(short);
    const { event, result } = await start(coordinator, { retries: 1 });
    await event('plan');
    await coordinator.commit(await coordinator.offer());
    await event('committed');
    await coordinator.listener.close();
    expect(await result).toMatchObject({ ended: 'finished', rounds: 1, modelHash: '02'.repeat(32) });
  });

  it('a wait that the coordinator asks for is kept', async () => {
    let full = true;
    const coordinator = await fakeCoordinator(plan, {
      before: ({ type }) => {
        if (type !== 'identify' || !full) return;
        full = false;
        throw new TacitError('wire/rate-limited', 'full', { retryAfterMs: 30 });
      },
    });
    const { event } = await start(coordinator);
    expect((await event('retrying')).waitMs).toBeGreaterThanOrEqual(30);
    await event('plan');
  });

  it('a plan that has changed meanwhile is not agreed to silently', async () => {
    const seed = new Uint8Array(32).fill(1);
    const first = await fakeCoordinator(plan, {}, seed);
    const second = await fakeCoordinator(smallPlan({ rounds: { count: 2, cohort: 3 } }), {}, seed);
    let connections = 0;
    const { event, result } = await start(first, {
      connect: async () => (connections++ === 0 ? first : second).listener.connect(),
    });
    await event('plan');
    first.drop();
    await expect(result).rejects.toThrow(refusal('policy/refused'));
  });

  it('another coordinator in its place is not joined, even if nothing was pinned', async () => {
    const first = await fakeCoordinator(plan);
    const second = await fakeCoordinator(plan);
    let connections = 0;
    const { event, result } = await start(first, {
      connect: async () => (connections++ === 0 ? first : second).listener.connect(),
    });
    await event('plan');
    first.drop();
    await expect(result).rejects.toThrow(refusal('auth/wrong-fingerprint'));
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
