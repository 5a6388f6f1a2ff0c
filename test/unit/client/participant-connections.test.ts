/** A participant whose connection is lost, or whose attempt is overtaken by another. */
import { describe, expect, it } from 'vitest';
import { TacitError } from '../../../protocol/errors.ts';
import type { ClientMessage, ServerMessage } from '../../../protocol/messages.ts';
import { fakeCoordinator } from './fake-coordinator.ts';
import { smallPlan } from './fixture.ts';
import { holdTraining, start } from './participant-fixture.ts';

const plan = smallPlan();
const refusal = (code: string) => expect.objectContaining({ code });

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
    const release = holdTraining(trainer);
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
    const release = holdTraining(trainer);
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
