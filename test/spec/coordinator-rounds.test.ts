/** The rules of SPEC.md §9 and §10 that bind the coordinator, against a real one. */
import { describe, expect, test } from 'vitest';
import { equalBytes, toHex } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { commitStatement, GENESIS_HEAD, headAfter, verifyStatement } from '../../protocol/identity.ts';
import type { ServerMessageOf } from '../../protocol/messages.ts';
import { decodeSafetensors } from '../../protocol/safetensors.ts';
import { pullBlob } from '../../protocol/transfer.ts';
import { FakeParticipant, manualClock, participants, testPlan, updateOf, wordsOf } from '../e2e/server-harness.ts';
import { code, running, someone, working } from './coordinator-fixture.ts';

describe('rounds', () => {
  test('[RD1] [RD3] an attempt has one signed offer; its exchange names the offered model; repeating `accept` changes nothing', async () => {
    const at = await running();
    const [first, ...others] = await working(at, 3); // verifies offers and exchanges
    for (const { offered, exchange } of others) {
      expect(toHex(offered.offerHash)).toBe(toHex(first!.offered.offerHash));
      expect(toHex(exchange.blobs[0]!.hash)).toBe(toHex(offered.offer.modelHash));
    }
    expect(await first!.p.accept(first!.offered.offerHash)).toEqual(first!.exchange);
    const model = await first!.p.pull(first!.exchange.blobs[0]!);
    expect(toHex(await nodeCrypto.sha256(model))).toBe(toHex(first!.offered.offer.modelHash));
    const late = await someone(at, 'late');
    await late.signIn();
    await expect(late.accept(first!.offered.offerHash)).rejects.toMatchObject({
      code: expect.stringMatching(/^round\/(full|not-selected)$/),
      retryAfterMs: expect.any(Number),
    });
    expect((await late.next('wait')).code).toMatch(/^round\//); // [RD9]
  });

  test('[MF3] the model holds the aggregated parameters, float32', async () => {
    const at = await running();
    const [first] = await working(at, 3);
    const { arrays } = decodeSafetensors(await first!.p.pull(first!.exchange.blobs[0]!));
    for (const { dtype } of Object.values(arrays)) expect(dtype).toBe('float32');
    expect(Object.keys(arrays)).toEqual(Object.keys(arrays).sort());
  });

  test('[RD5] who has accepted and declines is no longer waited for', async () => {
    const at = await running(testPlan({ rounds: { cohort: 3, minReports: 2 } }));
    const people = await working(at, 3);
    const { p, offered } = people[2]!;
    await p.peer.request({ type: 'decline', offerHash: offered.offerHash, code: 'train/failed', text: 'no' });
    for (const { p: other, offered: offer, sealed } of people.slice(0, 2)) {
      await other.push(offer.offerHash, sealed);
      await other.commit(offer.offerHash, sealed);
    }
    expect((await people[0]!.p.next('committed')).commit.participants).toBe(2);
  });

  test('[RD6] a report counts once; what is wrong with one is its answer, and the round goes on', async () => {
    const at = await running(testPlan({ rounds: { cohort: 3, minReports: 2 } }));
    const [honest, twice, liar] = await working(at, 3);
    const words = wordsOf(at.plan, updateOf(liar!.p, 0));
    words[0] = 2 ** 31 - 1;
    const wrong = await liar!.p.seal(liar!.offered, words);
    await liar!.p.push(liar!.offered.offerHash, wrong);
    await expect(liar!.p.commit(liar!.offered.offerHash, wrong)).rejects.toThrow(code('report/out-of-bounds'));

    const { p, offered, sealed } = twice!;
    await p.push(offered.offerHash, sealed);
    await p.commit(offered.offerHash, sealed);
    await p.commit(offered.offerHash, sealed);
    const another = await p.seal(offered, wordsOf(at.plan, updateOf(p, 0)));
    await expect(p.push(offered.offerHash, another)).rejects.toThrow(code('round/duplicate'));

    await honest!.p.push(honest!.offered.offerHash, honest!.sealed);
    await honest!.p.commit(honest!.offered.offerHash, honest!.sealed);
    expect((await p.next('committed')).commit.participants).toBe(2);
  });

  test('[RD7] [RD10] a failed attempt is followed by another offer, and the first is stale', async () => {
    const clock = manualClock();
    const plan = testPlan({ rounds: { cohort: 2, minReports: 2, waitForAll: false, recruitMs: 1000, trainMs: 5000 } });
    const at = await running(plan, { clock });
    const [one, two] = await working(at, 2);
    await clock.advance(20_000);
    const failed = await one!.p.next('failed');
    expect([failed.attempt, toHex(failed.offerHash)]).toEqual([0, toHex(one!.offered.offerHash)]);
    await clock.advance(60_000);
    const next = await two!.p.offer();
    expect(next.offer.attempt).toBe(1);
    expect(toHex(next.offer.nonce)).not.toBe(toHex(two!.offered.offer.nonce));
    expect(toHex(next.offer.modelHash)).toBe(toHex(two!.offered.offer.modelHash));
    await expect(two!.p.accept(two!.offered.offerHash)).rejects.toThrow(code('round/stale'));
  });

  test('[RD8] who comes back is offered its place again and goes on where the upload stopped', async () => {
    const at = await running();
    const people = await working(at, 3);
    const { p, offered, sealed } = people[0]!;
    const hash = await nodeCrypto.sha256(sealed);
    const announced = {
      offerHash: offered.offerHash,
      exchange: 0,
      suite: 'x25519-aes256gcm',
      hash,
      bytes: sealed.length,
    };
    await p.peer.request({ type: 'upload', ...announced });
    await p.peer.request({ type: 'put', hash, offset: 0 }, sealed.subarray(0, 100));
    p.connection.close();
    const back = new FakeParticipant(at.listener.connect(), p.identity, at);
    await back.signIn();
    expect(toHex((await back.offer()).offerHash)).toBe(toHex(offered.offerHash));
    expect(await back.accept(offered.offerHash)).toEqual(people[0]!.exchange);
    const { message } = await back.peer.request({ type: 'upload', ...announced });
    expect(message.offset).toBe(100);
    await back.push(offered.offerHash, sealed);
    await back.commit(offered.offerHash, sealed);
  });

  test('[RD9] [SI7] [RD11] [TX1] [TX2] [TX4] a whole run: each commit is signed and extends the last; the end is told, later too', async () => {
    const at = await running();
    const people = await participants(at, 3);
    await Promise.all(people.map((p) => p.takePart()));
    let head = GENESIS_HEAD;
    const commits = people[0]!.log.filter((m): m is ServerMessageOf<'committed'> => m.type === 'committed');
    expect(commits.length).toBe(2);
    for (const { commit } of commits) {
      await verifyStatement(nodeCrypto, at.serverKey, commitStatement(commit), commit.signature);
      expect(toHex(commit.prevHead)).toBe(toHex(head));
      expect(commit.participants).toBe(3);
      head = await headAfter(nodeCrypto, commit);
    }
    const late = await someone(at, 'late');
    const joined = await late.signIn();
    const links = async (from: number) => (await late.peer.request({ type: 'history', from })).message.records;
    expect(await links(0)).toEqual(commits.map(({ commit }) => commit));
    expect([await links(1), await links(2)]).toEqual([[commits[1]!.commit], []]);
    expect([joined.finished, joined.round, toHex(joined.head)]).toEqual([true, 2, toHex(head)]);
    const { model } = await late.next('finished');
    expect(toHex(model.hash)).toBe(toHex(commits[1]!.commit.modelHash));
    expect(equalBytes(await nodeCrypto.sha256(await late.pull(model)), model.hash)).toBe(true);
  });
});

describe('transfer', () => {
  test('[TR3] what is not offered, and offsets beyond the end', async () => {
    const at = await running();
    const p = await someone(at);
    const { planHash, planBytes } = await p.signIn();
    await expect(p.peer.request({ type: 'ask', hash: GENESIS_HEAD, offset: 0 })).rejects.toThrow(
      code('wire/unknown-blob'),
    );
    await expect(p.peer.request({ type: 'ask', hash: planHash, offset: planBytes })).rejects.toThrow(
      code('wire/malformed'),
    );
  });

  test('[TR4] the size of a report is known before it comes', async () => {
    const at = await running();
    const [{ p, offered, sealed }] = (await working(at, 3)) as [Awaited<ReturnType<typeof working>>[number]];
    const upload = (change: object) =>
      p.peer.request({
        type: 'upload',
        offerHash: offered.offerHash,
        exchange: 0,
        suite: 'nacl-box',
        hash: GENESIS_HEAD,
        bytes: sealed.length + 32,
        ...change,
      });
    await expect(upload({ bytes: 2 ** 30 })).rejects.toThrow(code('wire/too-large'));
    await expect(upload({ bytes: sealed.length })).rejects.toThrow(code('report/malformed'));
    await expect(upload({ suite: 'other' })).rejects.toThrow(code('wire/no-common-suite'));
    expect((await upload({})).message.offset).toBe(0);
  });

  test('[TR6] a commit signed by another key does not count', async () => {
    const at = await running();
    const [one, two] = await working(at, 3);
    await one!.p.push(one!.offered.offerHash, one!.sealed);
    const forged = new FakeParticipant(at.listener.connect(), one!.p.identity, at);
    Object.assign(one!.p, { identity: { ...one!.p.identity, sign: two!.p.identity.sign } });
    await expect(one!.p.commit(one!.offered.offerHash, one!.sealed)).rejects.toThrow(code('auth/bad-signature'));
    forged.connection.close();
  });

  test('[TR9] [ER1] floods are answered with a pace', async () => {
    const at = await running();
    const p = await someone(at);
    const joined = await p.signIn();
    const ref = { name: 'plan', hash: joined.planHash, bytes: joined.planBytes };
    const pulling = async () => {
      for (;;) await pullBlob(p.peer, ref, { crypto: nodeCrypto });
    };
    await expect(pulling()).rejects.toMatchObject({ code: 'wire/rate-limited', retryAfterMs: expect.any(Number) });
    const q = await someone(at, 'other');
    await q.signIn();
    const requests = async () => {
      for (;;)
        await q.peer
          .request({ type: 'decline', offerHash: GENESIS_HEAD, code: 'policy/refused', text: '' })
          .catch((error: { code: string }) => {
            if (!error.code.startsWith('round/')) throw error;
          });
    };
    await expect(requests()).rejects.toThrow(code('wire/rate-limited'));
  });
});
