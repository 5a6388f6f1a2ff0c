/** The chain of committed rounds as a participant follows it: gaps are caught up with, forks are fatal. */
import { describe, expect, it } from 'vitest';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { GENESIS_HEAD, identityFromSeed } from '../../../protocol/identity.ts';
import type { CommitRecord } from '../../../protocol/messages.ts';
import { type FakeCoordinator, fakeCoordinator } from './fake-coordinator.ts';
import { smallPlan } from './fixture.ts';
import { start } from './participant-fixture.ts';

const plan = smallPlan();
const stranger = await identityFromSeed(nodeCrypto, new Uint8Array(32).fill(99));
const refusal = (code: string) => expect.objectContaining({ code });

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
