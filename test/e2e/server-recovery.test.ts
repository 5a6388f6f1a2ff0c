/** Participants and coordinators that vanish and come back. Time is the test's own: nothing here waits for a real clock. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toHex } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import type { Offer } from '../../protocol/messages.ts';
import type { CoordinatorEvent, RunResult } from '../../server/events.ts';
import { memoryStore } from '../../server/store/memory.ts';
import {
  FakeParticipant,
  type Harness,
  harness,
  type ManualClock,
  manualClock,
  participants,
  rest,
  testPlan,
  updateOf,
  wordsOf,
} from './server-harness.ts';

const GRACE_MS = 1000;
const plan = testPlan({
  rounds: { count: 1, cohort: 3, minReports: 2, waitForAll: true, trainMs: 60_000, recruitMs: 30_000 },
});

let clock: ManualClock;
let at: Harness;
let run: Promise<RunResult>;
let people: [FakeParticipant, FakeParticipant, FakeParticipant];
let offered: { offer: Offer; offerHash: Uint8Array };

const start = async (options: Parameters<typeof harness>[1] = {}, usedPlan = plan): Promise<void> => {
  clock = manualClock();
  at = await harness(usedPlan, { clock, waitFor: 3, graceMs: GRACE_MS, settleMs: 100, ...options });
  run = at.coordinator.run();
  run.catch(() => {});
  people = (await participants(at, 3)) as typeof people;
  await Promise.all(people.map((p) => p.signIn()));
  offered = (await Promise.all(people.map((p) => p.offer())))[0]!;
};
afterEach(() => at.coordinator.stop());

/** The same participant on a new connection. */
const returning = async (gone: FakeParticipant): Promise<FakeParticipant> => {
  const back = new FakeParticipant(at.listener.connect(), gone.identity, at);
  await back.signIn();
  return back;
};

const vanish = async (person: FakeParticipant): Promise<void> => {
  person.connection.close();
  await rest();
};

const of = <T extends CoordinatorEvent['type']>(type: T) =>
  at.events.filter((e): e is Extract<CoordinatorEvent, { type: T }> => e.type === type);

describe('a participant that vanishes does not hold up a round for longer than its grace', () => {
  beforeEach(() => start());

  test('before it accepts', async () => {
    const [gone, ...others] = people;
    await vanish(gone);
    await Promise.all(others.map((p) => p.report(offered)));
    await clock.advance(100);
    expect((await run).history[0]).toMatchObject({ participants: 2, accepted: 2 });
  });

  test('while it trains', async () => {
    const [gone, ...others] = people;
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    await Promise.all(others.map((p) => p.report(offered)));
    await vanish(gone);
    await clock.advance(GRACE_MS - 1);
    expect(at.coordinator.status.phase).toBe('training');
    await clock.advance(1);
    expect((await run).history[0]).toMatchObject({ participants: 2, accepted: 3 });
  });

  test('in the middle of its upload', async () => {
    const [gone, ...others] = people;
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    const sealed = await gone.seal(offered, wordsOf(plan, updateOf(gone, 0)));
    const hash = await nodeCrypto.sha256(sealed);
    const upload = { offerHash: offered.offerHash, exchange: 0, suite: 'x25519-aes256gcm', hash, bytes: sealed.length };
    await gone.peer.request({ type: 'upload', ...upload });
    await gone.peer.request({ type: 'put', hash, offset: 0 }, sealed.subarray(0, 500));
    await vanish(gone);
    await Promise.all(others.map((p) => p.report(offered)));
    await clock.advance(GRACE_MS);
    expect((await run).history[0]!.participants).toBe(2);
  });

  test('after its report was acknowledged: it counts', async () => {
    const [gone, ...others] = people;
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    await gone.report(offered);
    await vanish(gone);
    await Promise.all(others.map((p) => p.report(offered)));
    expect((await run).history[0]!.participants).toBe(3);
  });

  test('one that stalls is waited for until the deadline, and told', async () => {
    const [stalled, ...others] = people;
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    await Promise.all(others.map((p) => p.report(offered)));
    await clock.advance(59_999);
    expect(at.coordinator.status.phase).toBe('training');
    await clock.advance(1);
    expect(await stalled.next('failed')).toMatchObject({ code: 'round/late' });
    expect((await run).history[0]!.participants).toBe(2);
    await expect(stalled.report(offered)).rejects.toMatchObject({
      code: expect.stringMatching(/^round\/(late|stale)$/),
    });
  });

  test('one that does not answer its offer is not waited for beyond recruiting', async () => {
    const [silent, ...others] = people;
    await Promise.all(others.map((p) => p.report(offered)));
    await clock.advance(30_000);
    expect(await silent.next('failed')).toMatchObject({ code: 'round/full' });
    expect((await run).history[0]!.participants).toBe(2);
  });

  test('one that declines is not waited for', async () => {
    const [declining, ...others] = people;
    const decline = { offerHash: offered.offerHash, code: 'data/too-few-examples', text: 'none' } as const;
    await declining.peer.request({ type: 'decline', ...decline });
    await Promise.all(others.map((p) => p.report(offered)));
    await clock.advance(100);
    expect((await run).history[0]!.participants).toBe(2);
    expect(of('declined')).toEqual([
      expect.objectContaining({ code: 'data/too-few-examples', participant: declining.identity.id }),
    ]);
  });
});

describe('a participant that comes back', () => {
  beforeEach(() => start());

  test('within its grace is offered its place again, and resumes its upload where it stopped', async () => {
    const [gone, ...others] = people;
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    await Promise.all(others.map((p) => p.report(offered)));
    const sealed = await gone.seal(offered, wordsOf(plan, updateOf(gone, 0)));
    const hash = await nodeCrypto.sha256(sealed);
    const upload = { offerHash: offered.offerHash, exchange: 0, suite: 'x25519-aes256gcm', hash, bytes: sealed.length };
    await gone.peer.request({ type: 'upload', ...upload });
    await gone.peer.request({ type: 'put', hash, offset: 0 }, sealed.subarray(0, 500));
    await vanish(gone);
    await clock.advance(GRACE_MS - 1);

    const back = await returning(gone);
    const again = await back.offer();
    expect(toHex(again.offerHash)).toBe(toHex(offered.offerHash));
    await back.accept(again.offerHash);
    const { message } = await back.peer.request({ type: 'upload', ...upload });
    expect(message.offset).toBe(500);
    await back.peer.request({ type: 'put', hash, offset: 500 }, sealed.subarray(500));
    await back.commit(again.offerHash, sealed);
    expect((await run).history[0]!.participants).toBe(3);
  });

  test('after its grace finds its place gone, and the round committed without it', async () => {
    const [gone, ...others] = people;
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    await vanish(gone);
    await clock.advance(GRACE_MS);
    const back = await returning(gone);
    await rest();
    expect(back.log.filter((m) => m.type === 'offer')).toEqual([]);
    await expect(back.accept(offered.offerHash)).rejects.toMatchObject({ code: 'round/late' });
    await Promise.all(others.map((p) => p.report(offered)));
    expect((await run).history[0]!.participants).toBe(2);
  });

  test('before it had accepted is simply asked again', async () => {
    const [gone, ...others] = people;
    await vanish(gone);
    const back = await returning(gone);
    await Promise.all([...others.map((p) => p.report(offered)), back.report(await back.offer())]);
    expect((await run).history[0]!.participants).toBe(3);
  });

  test('after its report got in, but not the answer, is told that it is in', async () => {
    const [gone, ...others] = people;
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    const sealed = await gone.seal(offered, wordsOf(plan, updateOf(gone, 0)));
    await gone.push(offered.offerHash, sealed);
    await gone.commit(offered.offerHash, sealed);
    await vanish(gone);
    const back = await returning(gone);
    await back.push(offered.offerHash, sealed);
    await back.commit(offered.offerHash, sealed);
    await Promise.all(others.map((p) => p.report(offered)));
    expect((await run).history[0]!.participants).toBe(3);
  });

  test('while its old connection still stands replaces it', async () => {
    const [old, ...others] = people;
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    const fresh = await returning(old);
    expect(await old.next('error')).toMatchObject({ code: 'auth/replaced' });
    await rest();
    expect(old.closed).toBeDefined();
    expect(at.coordinator.status.participants).toBe(3);
    await fresh.report(await fresh.offer());
    await Promise.all(others.map((p) => p.report(offered)));
    expect((await run).history[0]!.participants).toBe(3);
  });
});

describe('an attempt that fails', () => {
  test('is followed by another, with a new number and nonce, from the same model', async () => {
    await start();
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    await Promise.all(people.slice(1).map(vanish));
    await clock.advance(GRACE_MS);
    expect(of('failed')).toEqual([expect.objectContaining({ attempt: 0, code: 'round/too-few-reports', retry: true })]);
    expect(await people[0].next('failed')).toMatchObject({ code: 'round/too-few-reports', attempt: 0 });
    const back = await Promise.all(people.slice(1).map(returning));
    await clock.advance(1);
    const next = await Promise.all([people[0], ...back].map((p) => p.offer()));
    expect(next[0]!.offer).toMatchObject({ round: 0, attempt: 1, modelVersion: 0 });
    expect(toHex(next[0]!.offer.modelHash)).toBe(toHex(offered.offer.modelHash));
    expect(toHex(next[0]!.offer.nonce)).not.toBe(toHex(offered.offer.nonce));
    await expect(people[0].accept(offered.offerHash)).rejects.toMatchObject({ code: 'round/stale' });
    await Promise.all([people[0], ...back].map((p) => p.report(next[0]!)));
    expect((await run).history[0]).toMatchObject({ round: 0, attempt: 1, participants: 3 });
  });

  test('too often ends the run', async () => {
    await start({}, testPlan({ rounds: { ...plan.rounds, maxAttempts: 2 } }));
    for (let attempt = 0; attempt < 2; attempt++) {
      const offers = attempt === 0 ? [offered] : await Promise.all(people.map((p) => p.offer()));
      for (const person of people) {
        const decline = { offerHash: offers[0]!.offerHash, code: 'train/failed', text: '' } as const;
        await person.peer.request({ type: 'decline', ...decline });
      }
      await clock.advance(30_001);
    }
    await expect(run).rejects.toMatchObject({
      code: 'run/failed',
      message: expect.stringContaining('round/too-few-participants'),
    });
    expect(of('failed').map((e) => e.retry)).toEqual([true, false]);
  });

  test('does not let anybody contribute to one model more often than the plan allows', async () => {
    await start(
      {},
      testPlan({ rounds: { ...plan.rounds, minReports: 3, maxContributionsPerModel: 1, maxAttempts: 3 } }),
    );
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    await Promise.all(people.slice(1).map((p) => p.report(offered)));
    await vanish(people[0]);
    await clock.advance(GRACE_MS);
    expect(of('failed')).toHaveLength(1);
    const back = await returning(people[0]);
    await clock.advance(10);
    await expect(run).rejects.toMatchObject({
      code: 'run/failed',
      message: expect.stringContaining('too-many-contributions'),
    });
    expect(back.log.filter((m) => m.type === 'offer')).toEqual([]);
  });

  test('because the store cannot write is tried again, and the model is as if nothing had happened', async () => {
    const store = memoryStore();
    let broken = true;
    const failing: typeof store = {
      ...store,
      commit: (runId, commit) =>
        broken ? Promise.reject(new Error('no space left on device')) : store.commit(runId, commit),
    };
    await start({ store: failing });
    await Promise.all(people.map((p) => p.report(offered)));
    await rest();
    expect(of('failed')).toEqual([expect.objectContaining({ message: 'no space left on device' })]);
    expect(of('committed')).toEqual([]);
    expect(people[0].log.filter((m) => m.type === 'committed')).toEqual([]);
    broken = false;
    await clock.advance(1);
    await Promise.all(people.map(async (p) => p.report(await p.offer())));
    expect((await run).history[0]).toMatchObject({ attempt: 1 });
  });
});

describe('a report that comes when the sum is closed', () => {
  test('is told that it is late, while the model is being stored', async () => {
    const store = memoryStore();
    let write = (): void => {};
    const slow: typeof store = {
      ...store,
      commit: async (runId, commit) => {
        await new Promise<void>((resolve) => {
          write = resolve;
        });
        await store.commit(runId, commit);
      },
    };
    await start(
      { store: slow },
      testPlan({ rounds: { ...plan.rounds, cohort: 2, maxCohort: 3, overSelection: 1.5, waitForAll: false } }),
    );
    const [late, ...others] = people;
    await Promise.all(people.map((p) => p.accept(offered.offerHash)));
    const sealed = await late.seal(offered, wordsOf(at.plan, updateOf(late, 0)));
    await late.push(offered.offerHash, sealed);
    await Promise.all(others.map((p) => p.report(offered)));
    await rest();
    expect(at.coordinator.status.phase).toBe('aggregating');
    await expect(late.commit(offered.offerHash, sealed)).rejects.toMatchObject({
      code: 'round/late',
      retryAfterMs: expect.any(Number),
    });
    write();
    expect((await run).history[0]!.participants).toBe(2);
  });
});

describe('stopping and starting again', () => {
  const threeRounds = testPlan({ rounds: { ...plan.rounds, count: 3 } });

  test('aborts the round, says so, and leaves what was committed', async () => {
    await start({}, threeRounds);
    await Promise.all(people.map((p) => p.report(offered)));
    const second = await Promise.all(people.map((p) => p.offer()));
    await people[0].accept(second[0]!.offerHash);
    await at.coordinator.stop();
    expect(await run).toMatchObject({ finished: false, rounds: 1 });
    await rest();
    expect(people[0].log).toContainEqual(expect.objectContaining({ type: 'failed', code: 'round/cancelled' }));
    expect(people[0].log).toContainEqual(expect.objectContaining({ type: 'wait', code: 'round/cancelled' }));
    expect(people.every((p) => p.closed !== undefined)).toBe(true);
  });

  test('a coordinator that is started again on its store goes on with the round it had not committed, to the same end', async () => {
    await start({}, threeRounds);
    for (let round = 0; round < 3; round++) {
      const offers = round === 0 ? [offered] : await Promise.all(people.map((p) => p.offer()));
      await Promise.all(people.map((p) => p.report(offers[0]!)));
    }
    const uninterrupted = await run;
    await at.coordinator.stop();

    const store = memoryStore();
    await start({ store }, threeRounds);
    await Promise.all(people.map((p) => p.report(offered)));
    const second = (await Promise.all(people.map((p) => p.offer())))[0]!;
    await people[0].report(second);
    await at.coordinator.stop();
    const stopped = await run;

    await start({ store }, threeRounds);
    expect(offered.offer).toMatchObject({ round: 1, attempt: 1, modelVersion: 1 });
    expect(toHex(offered.offer.modelHash)).toBe(stopped.modelHash);
    expect(people[0].joined).toMatchObject({ round: 1 });
    await Promise.all(people.map((p) => p.report(offered)));
    await Promise.all(people.map(async (p) => p.report(await p.offer())));
    const resumed = await run;
    expect(resumed).toMatchObject({ finished: true, rounds: 3, modelHash: uninterrupted.modelHash });
    expect(resumed.history.map((s) => [s.round, s.attempt])).toEqual([
      [0, 0],
      [1, 1],
      [2, 0],
    ]);
  });

  test('a run that was finished already is finished at once', async () => {
    const store = memoryStore();
    await start({ store });
    await Promise.all(people.map((p) => p.report(offered)));
    const first = await run;
    await at.coordinator.stop();
    at = await harness(plan, { store });
    expect(await at.coordinator.run()).toMatchObject({ finished: true, rounds: 1, modelHash: first.modelHash });
  });
});
