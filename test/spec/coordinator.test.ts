/** The rules of SPEC.md that bind the coordinator, against a real one over the in-memory transport. */
import { afterEach, describe, expect, test } from 'vitest';
import { completePlan } from '../../learning/registry.ts';
import { equalBytes, fromUtf8, toBase64Url, toHex } from '../../protocol/bytes.ts';
import { issueCertificate } from '../../protocol/certificate.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import {
  aggregatorStatement,
  commitStatement,
  GENESIS_HEAD,
  headAfter,
  planStatement,
  verifyStatement,
} from '../../protocol/identity.ts';
import type { ServerMessageOf } from '../../protocol/messages.ts';
import { decodeSafetensors } from '../../protocol/safetensors.ts';
import { pullBlob } from '../../protocol/transfer.ts';
import type { CoordinatorOptions } from '../../server/coordinator-options.ts';
import {
  FakeParticipant,
  type Harness,
  harness,
  identityOf,
  manualClock,
  participants,
  testPlan,
  updateOf,
  wordsOf,
} from '../e2e/server-harness.ts';

const code = (wanted: string) => expect.objectContaining({ code: wanted });
const open: Harness[] = [];

/** A coordinator that runs until the test is over. */
async function running(plan = testPlan(), options: Partial<CoordinatorOptions> = {}): Promise<Harness> {
  const at = await harness(plan, options);
  open.push(at);
  at.coordinator.run().catch(() => {});
  return at;
}
afterEach(async () => {
  for (const { coordinator } of open.splice(0)) await coordinator.stop();
});

const someone = async (at: Harness, name = 'someone') =>
  new FakeParticipant(at.listener.connect(), await identityOf(name), at);

/** Participants that have accepted the first offer. */
async function working(at: Harness, count: number) {
  const people = await participants(at, count);
  await Promise.all(people.map((p) => p.signIn()));
  return Promise.all(
    people.map(async (p) => {
      const offered = await p.offer();
      const exchange = await p.accept(offered.offerHash);
      return { p, offered, exchange, sealed: await p.seal(offered, wordsOf(at.plan, updateOf(p, 0))) };
    }),
  );
}

describe('signing in', () => {
  test('[NG1] no common version: the answer names those that are spoken, then the connection ends', async () => {
    const p = await someone(await running());
    await expect(p.hello([2, 3])).rejects.toMatchObject({
      code: 'wire/unsupported-version',
      hint: expect.stringContaining('1'),
    });
    await expect.poll(() => p.closed).toBeDefined();
    const other = await someone(open[0]!);
    expect((await other.hello([0, 1, 7])).version).toBe(1);
  });

  test('[SI1] `welcome` is signed over both nonces and the versions that were offered; nonces are fresh', async () => {
    const at = await running();
    const one = await (await someone(at)).hello([1, 9]); // verifies
    const two = await (await someone(at)).hello([1, 9]);
    expect(toHex(one.serverNonce)).not.toBe(toHex(two.serverNonce));
  });

  test('[SI2] nothing but signing in is answered before it, and a signature of another connection is none', async () => {
    const at = await running();
    const early = await someone(at);
    await expect(early.peer.request({ type: 'accept', offerHash: GENESIS_HEAD })).rejects.toThrow(
      code('auth/not-identified'),
    );
    const replayed = await someone(at);
    await replayed.hello();
    const handshake = await (await someone(at)).hello();
    await expect(replayed.identify(handshake)).rejects.toThrow(code('auth/bad-signature'));
  });

  test('[SI3] no common suite', async () => {
    const p = await someone(await running(testPlan({ privacy: { suites: ['nacl-box'] } })));
    const nonce = nodeCrypto.randomBytes(32);
    const capabilities = { suites: ['other'], engine: 'none', platform: 'other' } as const;
    const { message } = await p.peer.request({
      type: 'hello',
      versions: [1],
      nonce,
      software: '',
      capabilities: { ...capabilities, suites: ['other'] },
    });
    const { version, serverKey, nonce: serverNonce, task } = message;
    const handshake = { versions: [1], version, clientNonce: nonce, serverNonce, serverKey, task };
    await expect(p.identify(handshake)).rejects.toThrow(code('wire/no-common-suite'));
  });

  test('[SI4] the newer connection of an identity ends the older, which is told', async () => {
    const at = await running();
    const [older, newer] = [await someone(at), await someone(at)];
    await older.signIn();
    const told = older.next('error');
    await newer.signIn();
    expect((await told).code).toBe('auth/replaced');
    await expect.poll(() => older.closed).toBeDefined();
    expect(newer.closed).toBeUndefined();
  });

  test('[SI5] [PL1] `joined` signs the plan’s hash and the aggregation key; the plan is complete JSON under that hash', async () => {
    const at = await running();
    const p = await someone(at);
    const joined = await p.signIn();
    const { task } = at.plan;
    await verifyStatement(nodeCrypto, at.serverKey, planStatement(task, joined.planHash), joined.planSignature);
    const aggregator = aggregatorStatement(task, joined.aggregatorKey);
    await verifyStatement(nodeCrypto, at.serverKey, aggregator, joined.aggregatorSignature);
    const bytes = await p.pull({ name: 'plan', hash: joined.planHash, bytes: joined.planBytes });
    const plan = JSON.parse(fromUtf8(bytes));
    expect(completePlan(plan)).toEqual(plan);
    expect(plan).toEqual(at.plan);
  });

  test('[SI6] what does not belong to the state is refused; after joining the connection stays', async () => {
    const at = await running();
    const p = await someone(at);
    const handshake = await p.hello();
    await expect(p.join()).rejects.toThrow(code('wire/unexpected'));
    const q = await someone(at);
    await q.signIn();
    await expect(q.identify(handshake)).rejects.toThrow(code('wire/unexpected'));
    await expect(q.peer.request({ type: 'accept', offerHash: GENESIS_HEAD })).rejects.toMatchObject({
      code: expect.stringMatching(/^round/),
    });
    expect(q.closed).toBeUndefined();
  });

  test('[FR6] a malformed frame is answered without `re`, and ends the connection', async () => {
    const p = await someone(await running());
    await p.signIn();
    const told = p.next('error');
    await p.connection.send(Uint8Array.of(1, 0, 0, 0, 0xc0));
    const error = await told;
    expect([error.code, error.re]).toEqual(['wire/malformed', undefined]);
    await expect.poll(() => p.closed).toBeDefined();
  });

  test('[CE2] certificates, where the plan requires them', async () => {
    const operator = await identityOf('operator');
    const operatorKey = toBase64Url(operator.publicKey);
    const at = await running(testPlan({ admission: { certificates: 'required', operatorKey } }));
    const mallory = await identityOf('mallory');
    const holder = await identityOf('someone');
    const issue = (change: object = {}, signer = operator) =>
      issueCertificate(signer.sign, {
        identity: holder.publicKey,
        tasks: [at.plan.task],
        notAfter: 4_000_000_000,
        nonce: nodeCrypto.randomBytes(32),
        ...change,
      });
    await expect((await someone(at)).signIn()).rejects.toThrow(code('auth/certificate-required'));
    for (const certificate of [
      await issue({}, mallory),
      await issue({ identity: mallory.publicKey }),
      await issue({ tasks: ['other'] }),
      await issue({ notAfter: 1_000_000_000 }),
      new Uint8Array(100),
    ]) {
      await expect((await someone(at)).signIn(certificate)).rejects.toThrow(code('auth/certificate-invalid'));
    }
    await (await someone(at)).signIn(await issue());
  });
});

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

  test('[RD9] [SI7] [RD11] [TX1] [TX2] a whole run: each commit is signed and extends the last; the end is told, later too', async () => {
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
