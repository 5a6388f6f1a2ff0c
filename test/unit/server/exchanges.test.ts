/** A round of two exchanges, as statistics that come before training need it: the runner, without connections. */
import { describe, expect, test } from 'vitest';
import { asBytes, toHex } from '../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { encodeReport } from '../../../protocol/fixed-point.ts';
import { exchangeStatement, type Identity, uploadStatement, verifyStatement } from '../../../protocol/identity.ts';
import type { ExchangeStart, ServerMessage } from '../../../protocol/messages.ts';
import { decodeSafetensors } from '../../../protocol/safetensors.ts';
import { suiteNamed } from '../../../protocol/sealing/suites.ts';
import type { Exchange, Section } from '../../../protocol/sections.ts';
import { float32 } from '../../../protocol/tensors.ts';
import { createUploadDesk } from '../../../protocol/transfer.ts';
import type { Attempt } from '../../../server/attempt.ts';
import { accept, commit, put, upload } from '../../../server/attempt-requests.ts';
import { beginAttempt } from '../../../server/begin-attempt.ts';
import type { CoordinatorEvent } from '../../../server/events.ts';
import { type Federation, openFederation, resume } from '../../../server/federation.ts';
import { createParticipants, type Participant } from '../../../server/participants.ts';
import { limitsOf } from '../../../server/round-limits.ts';
import { memoryStore } from '../../../server/store/memory.ts';
import type { Strategy } from '../../../server/strategies/strategy.ts';
import { identityOf, manualClock, rest, testPlan } from '../../e2e/server-harness.ts';

const plan = testPlan({
  rounds: { count: 1, cohort: 3, minReports: 2, waitForAll: true, trainMs: 1000, recruitMs: 1000 },
});

const section = (name: string, length: number, reduce: Section['reduce']): Section => ({
  name,
  length,
  reduce,
  bound: 1,
  ringBits: 32,
  clipGroup: null,
});

/** First a mean of statistics goes out to everybody, then deltas come back; the new model is their mean plus the statistics. */
const twoSteps: Strategy = {
  name: 'two-steps',
  init: () => ({ rounds: float32([], Float32Array.of(0)) }),
  apply: (state, { exchange, aggregate, global }) => {
    if (exchange.index === 0) {
      return { state, broadcast: { statistics: float32([2], aggregate.sections.statistics!) } };
    }
    const rounds = state.rounds!.data[0]! + 1;
    const delta = aggregate.sections.delta!;
    return { state: { rounds: float32([], Float32Array.of(rounds)) }, global: global.map((x, i) => x + delta[i]!) };
  },
};

interface Member extends Participant {
  readonly identity: Identity;
  readonly heard: ServerMessage[];
}

async function stage(strategy: Strategy = twoSteps) {
  const clock = manualClock();
  const store = memoryStore();
  const identity = await identityOf('coordinator');
  const opened = await openFederation({ plan, crypto: nodeCrypto, identity, store, strategy });
  const dimension = opened.exchanges[0]!.sections[0]!.length;
  const exchanges: Exchange[] = [
    {
      index: 0,
      name: 'statistics',
      sections: [section('statistics', 2, 'weightedSum'), section('weight', 1, 'sum')],
      brings: {},
    },
    {
      index: 1,
      name: 'train',
      sections: [section('delta', dimension, 'weightedSum'), section('weight', 1, 'sum')],
      brings: { statistics: { shape: [2], dtype: 'float32' } },
    },
  ];
  const federation: Federation = { ...opened, exchanges };
  const participants = createParticipants(10, { onJoin: () => {}, onLeave: () => {} });
  const members: Member[] = [];
  for (const name of ['a', 'b', 'c']) {
    const own = await identityOf(name);
    const heard: ServerMessage[] = [];
    const member: Member = {
      id: own.id,
      publicKey: own.publicKey,
      identity: own,
      capabilities: { suites: ['nacl-box'], engine: 'none', platform: 'node' },
      remote: name,
      heard,
      notify: (message) => void heard.push(message),
      end: () => {},
    };
    participants.admit(member);
    participants.join(member);
    members.push(member);
  }
  const events: CoordinatorEvent[] = [];
  const progress = await resume(federation);
  const attempt = await beginAttempt({
    federation,
    participants,
    desk: createUploadDesk({ crypto: nodeCrypto, maxBytes: 2 ** 24, now: () => clock.now() }),
    clock,
    traffic: { up: 0, down: 0 },
    trafficBefore: { up: 0, down: 0 },
    progress,
    attempt: 0,
    limits: limitsOf(plan, { exchanges: 2, graceMs: 100 }),
    candidates: () => members.map(({ id }) => id),
    checkCertificate: undefined,
    onCounted: () => {},
    onSpoilt: () => {},
    emit: (event) => void events.push(event),
  });
  attempt.refresh();
  return { attempt, clock, federation, members, participants, progress, events, store, dimension };
}

/** A whole report of one exchange, with every word of its first section at `value`. */
async function report(
  at: { attempt: Attempt; federation: Federation },
  member: Member,
  index: number,
  value: number,
  weight: number,
) {
  const { attempt, federation } = at;
  const exchange = federation.exchanges[index]!;
  const [first] = exchange.sections;
  const values = { [first!.name]: new Float32Array(first!.length).fill(value) };
  const words = encodeReport(exchange, values, weight, plan.rounds.maxCohort);
  const context = attempt.sealContext(member.publicKey, index);
  const sealed = await suiteNamed('nacl-box').seal(
    nodeCrypto,
    federation.aggregator.publicKey,
    context,
    asBytes(words),
  );
  const hash = await nodeCrypto.sha256(sealed);
  const common = { id: 1, offerHash: attempt.offerHash, exchange: index, hash, bytes: sealed.length };
  upload(attempt, member, { type: 'upload', suite: 'nacl-box', ...common });
  put(attempt, member, { type: 'put', id: 1, hash, offset: 0 }, sealed);
  const signature = await member.identity.sign(uploadStatement(common));
  await commit(attempt, member, { type: 'commit', ...common, signature });
}

const lastExchange = (member: Member): ExchangeStart | undefined =>
  member.heard.filter((m) => m.type === 'exchange').at(-1)?.exchange;

describe('a round of two exchanges', () => {
  test('sends the first sum back to everybody before the second is made, and commits once', async () => {
    const at = await stage();
    const { attempt, members, federation, progress, dimension } = at;
    for (const member of members) accept(attempt, member, { type: 'accept', id: 1, offerHash: attempt.offerHash });
    await Promise.all(members.map((member, i) => report(at, member, 0, 0.1 * (i + 1), 1)));
    await rest();

    const start = lastExchange(members[0]!)!;
    expect(start).toMatchObject({ index: 1, blobs: [{ name: 'broadcast' }] });
    await verifyStatement(nodeCrypto, federation.identity.publicKey, exchangeStatement(start), start.signature);
    const { body } = federation.shelf.chunk(start.blobs[0]!.hash, 0);
    const { statistics } = decodeSafetensors(body).arrays;
    expect(statistics!.data[0]).toBeCloseTo(0.2, 6);
    expect(members.every((m) => lastExchange(m) === start)).toBe(true);
    expect(attempt.phase).toBe('training');

    await Promise.all(members.map((member, i) => report(at, member, 1, 0.01 * i, 0.5)));
    const outcome = await attempt.done;
    if (outcome.type !== 'committed') throw new Error(outcome.code);
    expect(outcome.progress.global).toHaveLength(dimension);
    expect(outcome.progress.global[5]! - progress.global[5]!).toBeCloseTo(0.01, 6);
    expect(outcome.progress.strategyState.rounds!.data[0]).toBe(1);
    expect(outcome.summary).toMatchObject({ participants: 3, accepted: 3 });
    const { record, state } = (await at.store.latest(federation.run))!;
    expect(decodeSafetensors(state).arrays.rounds!.data[0]).toBe(1);

    const [, train] = federation.exchanges;
    const total = new Int32Array(dimension + 1);
    members.forEach((_, i) => {
      const values = { delta: new Float32Array(dimension).fill(0.01 * i) };
      encodeReport(train!, values, 0.5, plan.rounds.maxCohort).forEach((word, k) => {
        total[k]! += word;
      });
    });
    expect(toHex(record.aggregateHash)).toBe(toHex(await nodeCrypto.sha256(asBytes(total))));
  });

  test('who is lost in the first exchange has no part in the second', async () => {
    const at = await stage();
    const { attempt, members, clock } = at;
    for (const member of members) accept(attempt, member, { type: 'accept', id: 1, offerHash: attempt.offerHash });
    await Promise.all(members.slice(0, 2).map((member) => report(at, member, 0, 0.1, 1)));
    await clock.advance(1000);
    await rest();
    const lost = members[2]!;
    expect(lost.heard.at(-1)).toMatchObject({ type: 'failed', code: 'round/late' });
    expect(lastExchange(lost)).toBeUndefined();
    await expect(report(at, lost, 1, 0.1, 1)).rejects.toMatchObject({ code: 'round/late' });
    await expect(report(at, members[0]!, 0, 0.1, 1)).rejects.toMatchObject({ code: 'round/stale' });
    await Promise.all(members.slice(0, 2).map((member) => report(at, member, 1, 0.1, 1)));
    expect(await attempt.done).toMatchObject({ type: 'committed', summary: { participants: 2 } });
  });

  test('who comes back between the two is given the second', async () => {
    const at = await stage();
    const { attempt, members, participants } = at;
    for (const member of members) accept(attempt, member, { type: 'accept', id: 1, offerHash: attempt.offerHash });
    await Promise.all(members.map((member) => report(at, member, 0, 0.1, 1)));
    const [back] = members as [Member];
    participants.leave(back, 'gone');
    attempt.onLeave(back.id);
    await rest();
    participants.admit(back);
    participants.join(back);
    attempt.onJoin(back);
    expect(back.heard.at(-1)?.type).toBe('offer');
    const reply = accept(attempt, back, { type: 'accept', id: 2, offerHash: attempt.offerHash });
    expect(reply.exchange.index).toBe(1);
    await Promise.all(members.map((member) => report(at, member, 1, 0.1, 1)));
    expect(await attempt.done).toMatchObject({ type: 'committed', summary: { participants: 3 } });
  });

  test('a strategy that gives no model, or one that is not finite, fails the attempt and commits nothing', async () => {
    for (const [global, code] of [
      [undefined, 'internal'],
      [Number.NaN, 'weights/not-finite'],
    ] as const) {
      const at = await stage({
        ...twoSteps,
        apply: (state, inputs) => {
          if (inputs.exchange.index === 0) return twoSteps.apply(state, inputs);
          return global === undefined ? { state } : { state, global: inputs.global.map(() => global) };
        },
      });
      const { attempt, members, federation } = at;
      for (const member of members) accept(attempt, member, { type: 'accept', id: 1, offerHash: attempt.offerHash });
      await Promise.all(members.map((member) => report(at, member, 0, 0.1, 1)));
      await rest();
      await Promise.all(members.map((member) => report(at, member, 1, 0.1, 1)));
      const outcome = await attempt.done;
      expect(outcome).toMatchObject({ type: 'failed', code });
      expect(await at.store.latest(federation.run)).toBeUndefined();
    }
  });
});
