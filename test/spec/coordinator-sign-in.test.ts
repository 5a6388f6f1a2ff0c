/** The rules of SPEC.md §5 that bind the coordinator, against a real one. */
import { describe, expect, test } from 'vitest';
import { completePlan } from '../../learning/registry.ts';
import { fromUtf8, toBase64Url, toHex } from '../../protocol/bytes.ts';
import { issueCertificate } from '../../protocol/certificate.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { aggregatorStatement, GENESIS_HEAD, planStatement, verifyStatement } from '../../protocol/identity.ts';
import { identityOf, testPlan } from '../e2e/server-harness.ts';
import { code, running, someone } from './coordinator-fixture.ts';

describe('signing in', () => {
  test('[NG1] no common version: the answer names those that are spoken, then the connection ends', async () => {
    const at = await running();
    const p = await someone(at);
    await expect(p.hello([2, 3])).rejects.toMatchObject({
      code: 'wire/unsupported-version',
      hint: expect.stringContaining('1'),
    });
    await expect.poll(() => p.closed).toBeDefined();
    const other = await someone(at);
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
