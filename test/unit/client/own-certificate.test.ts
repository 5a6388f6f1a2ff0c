/** What a participant says of its own certificate before the coordinator sees it. */
import { describe, expect, it } from 'vitest';
import { joinFromNode } from '../../../client/node/join.ts';
import { certificateWords, checkOwnCertificate, checkOwnership } from '../../../client/own-certificate.ts';
import { completePlan } from '../../../learning/registry.ts';
import { type Certificate, certificateMarginSeconds, issueCertificate } from '../../../protocol/certificate.ts';
import { certificateFromText, certificateToText } from '../../../protocol/certificate-text.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { identityOf } from '../../e2e/server-harness.ts';
import { smallPlan } from './fixture.ts';

const operator = await identityOf('operator');
const stranger = await identityOf('stranger');
const alice = await identityOf('alice');
const plan = completePlan({
  ...smallPlan(),
  task: 'digits',
  admission: { certificates: 'required', operatorKey: operator.id },
});
const NOW = 1_800_000_000;

const issue = (changes: Partial<Certificate> = {}, by = operator): Promise<Uint8Array> =>
  issueCertificate((statement) => by.sign(statement), {
    identity: alice.publicKey,
    tasks: ['digits'],
    notAfter: NOW + 86_400,
    nonce: new Uint8Array(32),
    ...changes,
  });
const check = (bytes: Uint8Array, nowSeconds = NOW) =>
  checkOwnCertificate(nodeCrypto, bytes, { plan, identity: alice, nowSeconds });

describe('a certificate of one’s own', () => {
  it('is good for its key, operator, task and time, and says so', async () => {
    const bytes = certificateFromText(` ${certificateToText(await issue({ tasks: ['a', 'digits'] }))}\r\n`);
    expect(certificateWords(await check(bytes))).toBe('It certifies your key for a, digits, until 2027-01-16.');
  });

  it.each<[string, Parameters<typeof issue>, RegExp]>([
    ['another key', [{ identity: stranger.publicKey }], new RegExp(`for another key \\(${stranger.id}\\)`)],
    ['another operator', [{}, stranger], new RegExp(`not signed by the plan's operator \\(${operator.id}\\)`)],
    ['the past', [{ notAfter: NOW - 1 }], /expired on 2027-01-15/],
    ['less than a round', [{ notAfter: NOW + certificateMarginSeconds(plan) - 1 }], /expires before a round could end/],
    ['another task', [{ tasks: ['other'] }], /for other, not for digits/],
  ])('of %s is refused, in words that say why', async (_, given, words) => {
    await expect(check(await issue(...given))).rejects.toMatchObject({
      code: 'auth/certificate-invalid',
      message: expect.stringMatching(words),
      hint: expect.any(String),
    });
  });

  it('is not one with a byte changed, anywhere', async () => {
    const bytes = await issue();
    for (let at = 0; at < bytes.length; at += 7) {
      const broken = bytes.slice();
      broken[at]! ^= 1;
      await expect((async () => check(broken))(), `byte ${at}`).rejects.toThrow(/certificate/);
    }
  });

  it('is nothing that is not one', () => {
    for (const text of ['', 'x', 'not a certificate', '{}', certificateToText(new Uint8Array(300))]) {
      expect(() => certificateFromText(text), text).toThrow(/This is not a certificate/);
    }
  });

  it('has words also for a day that no calendar has', async () => {
    const endless = await issue({ notAfter: Number.MAX_SAFE_INTEGER });
    expect(certificateWords(checkOwnership(endless, alice, NOW))).toContain('a day beyond the calendar');
  });
});

it('another participant’s certificate is found out before anything is connected', async () => {
  const joining = joinFromNode({
    url: 'http://127.0.0.1:9',
    data: { kind: 'bundled', name: 'digits', split: 'train' },
    identity: stranger,
    certificate: await issue({ notAfter: Math.ceil(Date.now() / 1000) + 3600 }),
    retries: 0,
  });
  await expect(joining).rejects.toMatchObject({ code: 'auth/certificate-invalid' });
});
