import { afterEach, describe, expect, test, vi } from 'vitest';
import { encodeFrame } from '../../../protocol/codec.ts';
import { TacitError } from '../../../protocol/errors.ts';
import { memoryPair } from '../../../protocol/memory-transport.ts';
import type { ClientMessage, ServerMessage } from '../../../protocol/messages.ts';
import {
  type CoordinatorPeer,
  coordinatorPeer,
  MAX_PENDING,
  type ParticipantPeer,
  participantPeer,
} from '../../../protocol/peer.ts';
import type { Connection } from '../../../protocol/transport.ts';

const hash = new Uint8Array(32).fill(1);

/** Lets everything that is queued in microtasks and timers of 0 ms happen. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

function pair(answer?: (message: ClientMessage, peer: CoordinatorPeer) => void): {
  participant: ParticipantPeer;
  coordinator: CoordinatorPeer;
  raw: Connection;
} {
  const [near, far] = memoryPair();
  const coordinator = coordinatorPeer(far);
  if (answer) coordinator.onMessage(({ message }) => answer(message, coordinator));
  return { participant: participantPeer(near), coordinator, raw: far };
}

const bye = { type: 'bye' } as const;
const ask = (offset: number) => ({ type: 'ask', hash, offset }) as const;

afterEach(() => {
  vi.useRealTimers();
});

describe('requests and replies', () => {
  test('[FR5] replies go to the request that they answer, in whatever order they come', async () => {
    const held: (() => void)[] = [];
    const { participant } = pair((message, peer) => {
      if (message.type !== 'ask') return;
      const { id: re, offset } = message;
      held.push(() => void peer.send({ type: 'chunk', re, hash, offset, bytes: 100 }, Uint8Array.of(offset)));
      if (held.length === 5) for (const reply of held.reverse()) reply();
    });
    const replies = await Promise.all([0, 1, 2, 3, 4].map((offset) => participant.request(ask(offset))));
    expect(replies.map(({ message, body }) => [message.offset, body?.[0]])).toEqual(
      [0, 1, 2, 3, 4].map((offset) => [offset, offset]),
    );
  });

  test('a body travels with a request', async () => {
    const bodies: (Uint8Array | undefined)[] = [];
    const [near, far] = memoryPair();
    const coordinator = coordinatorPeer(far);
    coordinator.onMessage(({ message, body }) => {
      bodies.push(body);
      if (message.type === 'put') void coordinator.send({ type: 'got', re: message.id, offset: 3 });
    });
    const { message } = await participantPeer(near).request({ type: 'put', hash, offset: 0 }, Uint8Array.of(1, 2, 3));
    expect(message.offset).toBe(3);
    expect(bodies.map((body) => [...(body ?? [])])).toEqual([[1, 2, 3]]);
  });

  test('[FR6] [ER1] an error reply rejects with its code, text and pace', async () => {
    const { participant } = pair((message, peer) => {
      void peer.sendError(new TacitError('round/full', 'all places are taken', { retryAfterMs: 1500 }), message.id);
    });
    await expect(participant.request({ type: 'accept', offerHash: hash })).rejects.toMatchObject({
      code: 'round/full',
      message: 'all places are taken',
      retryAfterMs: 1500,
      retryable: true,
    });
  });

  test('the text of an error cannot steer a terminal', async () => {
    const { participant } = pair((message, peer) => {
      const text = 'one\ntwo \u001b[2Jthree\u009b1m\u0007 vier–fünf';
      void peer.send({ type: 'error', re: message.id, code: 'round/full', text });
    });
    await expect(participant.request(bye)).rejects.toMatchObject({ message: 'one\ntwo  [2Jthree 1m  vier–fünf' });
  });

  test('an unsupported version says which ones are', async () => {
    const { participant } = pair((message, peer) => {
      const code = 'wire/unsupported-version';
      void peer.send({ type: 'error', re: message.id, code, text: 'no', supportedVersions: [3, 4] });
    });
    await expect(participant.request(bye)).rejects.toMatchObject({
      code: 'wire/unsupported-version',
      hint: expect.stringContaining('3, 4'),
    });
  });

  test('a reply of another type is refused', async () => {
    const { participant } = pair((message, peer) => void peer.send({ type: 'got', re: message.id, offset: 0 }));
    await expect(participant.request(bye)).rejects.toMatchObject({ code: 'wire/unexpected' });
  });

  test('[ER2] what went wrong inside the coordinator stays inside', async () => {
    const { participant } = pair((message, peer) => {
      void peer.sendError(new TacitError('internal', 'secret path /home/x'), message.id);
    });
    await expect(participant.request(bye)).rejects.toMatchObject({
      code: 'internal',
      message: expect.not.stringContaining('secret'),
    });
  });
});

describe('time and the end', () => {
  test('a request without a reply ends by its time limit, and its late reply is ignored', async () => {
    let re = 0;
    const { participant, coordinator } = pair((message) => {
      re = message.id;
    });
    await expect(participant.request(bye, undefined, { timeoutMs: 5 })).rejects.toMatchObject({ code: 'net/timeout' });
    await coordinator.send({ type: 'ok', re });
    await settled();
    expect(participant.connection.closed).toBe(false);
    coordinator.onMessage(({ message }) => void coordinator.send({ type: 'ok', re: message.id }));
    await participant.request(bye);
  });

  test('requests under way end when the connection does', async () => {
    const { participant, coordinator } = pair(() => {});
    const requests = Promise.allSettled([participant.request(bye), participant.request(ask(0))]);
    await settled();
    coordinator.close('going down');
    for (const outcome of await requests) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'net/closed', message: 'going down' } });
    }
    await expect(participant.request(bye)).rejects.toMatchObject({ code: 'net/closed' });
  });

  test('onClose is called for everyone who listens, later too', async () => {
    const { participant, coordinator } = pair();
    const reasons: string[] = [];
    participant.onClose((reason) => reasons.push(`one ${reason}`));
    participant.onClose((reason) => reasons.push(`two ${reason}`));
    coordinator.close('bye');
    await settled();
    participant.onClose((reason) => reasons.push(`late ${reason}`));
    expect(reasons).toEqual(['one bye', 'two bye', 'late bye']);
  });

  test('[FR5] the number of unanswered requests is bounded, and answers make room', async () => {
    const { participant } = pair((message, peer) => {
      if (message.type === 'bye') void peer.send({ type: 'ok', re: message.id });
    });
    const waiting = Array.from({ length: MAX_PENDING }, () => participant.request(ask(0)));
    for (const request of waiting) request.catch(() => {});
    await expect(participant.request(bye)).rejects.toMatchObject({ code: 'wire/rate-limited' });
    participant.close();
    await Promise.allSettled(waiting);

    const next = pair((message, peer) => void peer.send({ type: 'ok', re: message.id }));
    for (let i = 0; i < 3 * MAX_PENDING; i++) await next.participant.request(bye);
  });
});

describe('messages nobody asked for', () => {
  const wait = { type: 'wait', code: 'round/full', retryAfterMs: 1 } as const satisfies ServerMessage;

  test('reach the receiver in order, those from before it was set included', async () => {
    const { participant, coordinator } = pair();
    for (let i = 0; i < 3; i++) await coordinator.send({ ...wait, retryAfterMs: i });
    await settled();
    const seen: number[] = [];
    participant.onMessage(({ message }) => {
      if (message.type === 'wait') seen.push(message.retryAfterMs);
    });
    await coordinator.send({ ...wait, retryAfterMs: 3 });
    await settled();
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  test('[RD4] an exchange without `re` is such a message', async () => {
    const { participant, coordinator } = pair();
    const seen: string[] = [];
    participant.onMessage(({ message }) => seen.push(message.type));
    const exchange = { offerHash: hash, index: 1, blobs: [], signature: new Uint8Array(64) };
    await coordinator.send({ type: 'exchange', exchange });
    await coordinator.send({ type: 'error', code: 'round/cancelled', text: '' });
    await settled();
    expect(seen).toEqual(['exchange', 'error']);
  });

  test('are kept up to a bound only', async () => {
    const { participant, coordinator } = pair();
    const end = new Promise((resolve) => participant.onClose(resolve));
    for (let i = 0; i < 80; i++) await coordinator.send(wait).catch(() => {});
    expect(await end).toBe('wire/unexpected');
  });
});

describe('faults', () => {
  test('a malformed frame is reported, and the connection is the reporter’s to end', async () => {
    const [near, far] = memoryPair();
    const seen: TacitError[] = [];
    const coordinator = coordinatorPeer(far, {
      onMalformed: (error) => {
        seen.push(error);
        void coordinator.sendError(error).then(() => coordinator.close(error.code));
      },
    });
    const participant = participantPeer(near);
    const messages: ServerMessage[] = [];
    participant.onMessage(({ message }) => messages.push(message));
    const end = new Promise((resolve) => participant.onClose(resolve));
    await near.send(Uint8Array.of(1, 2, 3));
    await end;
    expect(seen.map(({ code }) => code)).toEqual(['wire/malformed']);
    expect(messages).toMatchObject([{ type: 'error', code: 'wire/malformed' }]);
  });

  test('without a reporter a malformed frame ends the connection', async () => {
    const { participant, raw } = pair();
    const end = new Promise((resolve) => participant.onClose(resolve));
    await raw.send(new Uint8Array(10));
    expect(await end).toBe('wire/malformed');
  });

  test('a reply to a request that was never made is a fault', async () => {
    const { participant, coordinator } = pair();
    const end = new Promise((resolve) => participant.onClose(resolve));
    await coordinator.send({ type: 'ok', re: 1 });
    expect(await end).toBe('wire/unexpected');
  });

  test('a receiver that throws is contained', async () => {
    const [near, far] = memoryPair();
    const seen: TacitError[] = [];
    const coordinator = coordinatorPeer(far, { onMalformed: (error) => seen.push(error) });
    coordinator.onMessage(() => {
      throw new TypeError('x is not a function');
    });
    await near.send(encodeFrame({ type: 'bye', id: 1 }));
    await settled();
    expect(seen).toMatchObject([{ code: 'internal', message: 'x is not a function' }]);
    expect(far.closed).toBe(false);
  });
});
