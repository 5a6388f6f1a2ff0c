/** The rules of SPEC.md that bind a participant, for the one that comes with it, against a scripted coordinator. */
import { describe, expect, test } from 'vitest';
import { toHex, utf8 } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { GENESIS_HEAD, identityFromSeed } from '../../protocol/identity.ts';
import type { ServerMessage } from '../../protocol/messages.ts';
import { float32 } from '../../protocol/tensors.ts';
import { fakeCoordinator, type Mischief } from '../unit/client/fake-coordinator.ts';
import { smallPlan } from '../unit/client/fixture.ts';
import { plainOutput, start } from '../unit/client/participant-fixture.ts';

const plan = smallPlan();
const stranger = await identityFromSeed(nodeCrypto, new Uint8Array(32).fill(99));
const code = (wanted: string) => expect.objectContaining({ code: wanted });

/** A reply of one type, with some of its keys changed. */
const changed = (type: ServerMessage['type'], change: object): Mischief => ({
  reply: (reply) => (reply.type === type ? ({ ...reply, ...change } as ServerMessage) : reply),
});

describe('signing in', () => {
  test('[ID2] a coordinator with another fingerprint is not spoken to', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { result } = await start(coordinator, { fingerprint: 'A'.repeat(43) });
    await expect(result).rejects.toThrow(code('auth/wrong-fingerprint'));
    expect(coordinator.requests.map(({ type }) => type)).toEqual(['hello']);
  });

  test.each([
    ['welcome', { nonce: new Uint8Array(32) }],
    ['welcome', { task: 'another' }],
    ['joined', { planHash: new Uint8Array(32) }],
    ['joined', { aggregatorKey: new Uint8Array(32).fill(9) }],
  ] as const)('[ST3] [SI1] [SI5] `%s` that was changed on the way ends it: %j', async (type, change) => {
    const coordinator = await fakeCoordinator(plan, changed(type, change));
    const { result, trainer } = await start(coordinator);
    await expect(result).rejects.toThrow(code('auth/bad-signature'));
    expect(trainer.inputs).toEqual([]);
  });

  test('[SI4] who was replaced does not come back by itself', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result } = await start(coordinator, { retries: 5 });
    await event('plan');
    coordinator.broadcast({ type: 'error', code: 'auth/replaced', text: 'elsewhere' });
    await expect(result).rejects.toThrow(code('auth/replaced'));
    expect(coordinator.sent('hello').length).toBe(1);
  });

  test('[SI5] [PL1] other bytes than the plan that was signed are not taken', async () => {
    const servedPlan = utf8(JSON.stringify({ ...plan, seed: 2 }));
    const coordinator = await fakeCoordinator(plan, { servedPlan });
    const { result } = await start(coordinator, { retries: 0 });
    await expect(result).rejects.toThrow(code('wire/hash-mismatch'));
  });
});

describe('rounds', () => {
  test('[RD2] an offer of somebody else ends it; one for another plan is declined', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result, trainer } = await start(coordinator);
    await event('plan');
    await coordinator.offer({ planHash: new Uint8Array(32).fill(3) });
    await event('declined');
    await coordinator.offer({}, coordinator.initial, stranger);
    await expect(result).rejects.toThrow(code('auth/bad-signature'));
    expect(trainer.inputs).toEqual([]);
  });

  test('[PL2] the first round starts from the initial weights that the plan names, or not at all', async () => {
    const coordinator = await fakeCoordinator({ ...plan, initialWeights: { modelHash: '0'.repeat(64) } });
    const { event, trainer } = await start(coordinator);
    await event('plan');
    await coordinator.offer({ round: 0 });
    await event('declined');
    expect(trainer.inputs).toEqual([]);
  });

  test('[RD2] one model gets no more reports than the plan allows, whatever version it is called', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event } = await start(coordinator);
    await event('plan');
    for (let attempt = 1; attempt <= plan.rounds.maxContributionsPerModel; attempt++) {
      await coordinator.offer({ attempt, modelVersion: attempt });
      await event('reported', attempt - 1);
    }
    await coordinator.offer({ attempt: 9, modelVersion: 9 });
    expect(await event('declined')).toMatchObject({ code: 'round/too-many-contributions' });
  });

  test('[RD3] an exchange with another model than was offered ends it', async () => {
    const coordinator = await fakeCoordinator(plan, {
      reply: (reply) =>
        reply.type === 'exchange'
          ? { ...reply, exchange: { ...reply.exchange, blobs: [{ ...reply.exchange.blobs[0]!, bytes: 8 }] } }
          : reply,
    });
    const { event, result, trainer } = await start(coordinator);
    await event('plan');
    await coordinator.offer();
    await expect(result).rejects.toThrow(code('auth/bad-signature'));
    expect(trainer.inputs).toEqual([]);
  });

  test('[MF3] a model with NaN is not trained', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    await event('plan');
    const [name, array] = Object.entries(coordinator.initial)[0]!;
    const broken = float32(array.shape, Float32Array.from(array.data).fill(Number.NaN, 0, 1));
    await coordinator.offer({}, { ...coordinator.initial, [name]: broken });
    expect(await event('failed')).toMatchObject({ code: 'weights/not-finite' });
    expect(trainer.inputs).toEqual([]);
  });

  test('[RP7] training that gave NaN sends nothing, and says so', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, trainer } = await start(coordinator);
    trainer.output = (input) => ({ ...plainOutput(input), loss: Number.NaN });
    await event('plan');
    await coordinator.offer();
    await event('failed');
    await expect.poll(() => coordinator.sent('decline')).toMatchObject([{ code: 'report/not-finite' }]);
    expect(coordinator.sent('upload')).toEqual([]);
  });

  test('[RD11] an end that somebody else has signed is none', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result } = await start(coordinator);
    await event('plan');
    await coordinator.finish(coordinator.initial, stranger);
    await expect(result).rejects.toThrow(code('auth/bad-signature'));
  });
});

describe('the transcript', () => {
  test('[TX4] rounds that were missed are asked for, and one that is held back ends it', async () => {
    const coordinator = await fakeCoordinator({ ...plan, rounds: { ...plan.rounds, count: 10 } });
    for (let round = 0; round < 4; round++) {
      await coordinator.commit(new Uint8Array(32).fill(round), { round }, coordinator.identity, { silent: true });
    }
    const { event } = await start(coordinator);
    expect(await event('plan')).toBeDefined();
    await expect.poll(() => coordinator.sent('history').length).toBe(2);
    coordinator.records.splice(2, 1);
    const other = await start(coordinator);
    await expect(other.result).rejects.toThrow(code('auth/forked-transcript'));
  });

  test('[TX3] a commit that does not follow the last one seen ends it', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result } = await start(coordinator);
    await event('plan');
    await coordinator.commit(new Uint8Array(32).fill(1));
    await event('committed');
    await coordinator.commit(new Uint8Array(32).fill(2), { prevHead: GENESIS_HEAD });
    await expect(result).rejects.toThrow(code('auth/forked-transcript'));
  });

  test('[TX3] a coordinator that goes back on its rounds is not joined again', async () => {
    const coordinator = await fakeCoordinator(plan);
    const { event, result } = await start(coordinator, { retries: 3 });
    await event('plan');
    const head = await coordinator.commit(new Uint8Array(32).fill(1));
    await event('committed');
    coordinator.setStanding({ round: 1, head: head.map((byte) => byte ^ 1) });
    coordinator.drop();
    await expect(result).rejects.toThrow(code('auth/forked-transcript'));
    expect(toHex(head)).not.toBe(toHex(GENESIS_HEAD));
  });
});
