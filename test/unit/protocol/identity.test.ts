import { beforeAll, describe, expect, test } from 'vitest';
import { concat, toHex, utf8 } from '../../../protocol/bytes.ts';
import { decodeCanon } from '../../../protocol/canon.ts';
import {
  type Certificate,
  certificateStatement,
  decodeCertificate,
  issueCertificate,
  verifyCertificate,
} from '../../../protocol/certificate.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import {
  authStatement,
  commitStatement,
  exchangeStatement,
  fingerprintOf,
  GENESIS_HEAD,
  type Handshake,
  headAfter,
  type Identity,
  identityFromSeed,
  offerHashOf,
  offerStatement,
  verifyStatement,
  welcomeStatement,
} from '../../../protocol/identity.ts';
import type { CommitRecord, Offer } from '../../../protocol/messages.ts';

const fill = (byte: number, n = 32) => new Uint8Array(n).fill(byte);

const handshake: Handshake = {
  versions: [1, 2],
  version: 1,
  clientNonce: fill(1),
  serverNonce: fill(2),
  serverKey: fill(3),
  task: 'digits',
};
const offer: Offer = {
  v: 1,
  task: 'digits',
  kind: 'train',
  round: 3,
  attempt: 1,
  modelVersion: 3,
  modelHash: fill(4),
  planHash: fill(5),
  nonce: fill(6),
};
const commit: CommitRecord = {
  offerHash: fill(7),
  round: 3,
  attempt: 1,
  participants: 10,
  aggregateHash: fill(8),
  modelHash: fill(9),
  prevHead: GENESIS_HEAD,
  signature: fill(0, 64),
};

let identity: Identity;
beforeAll(async () => {
  identity = await identityFromSeed(nodeCrypto, fill(42));
});

test('an identity is its key: id, fingerprint, signatures', async () => {
  expect(identity.id).toBe(Buffer.from(identity.publicKey).toString('base64url'));
  expect(await fingerprintOf(nodeCrypto, identity.publicKey)).toBe(
    Buffer.from(await nodeCrypto.sha256(identity.publicKey)).toString('base64url'),
  );
  const signature = await identity.sign(utf8('x'));
  await verifyStatement(nodeCrypto, identity.publicKey, utf8('x'), signature);
  await expect(verifyStatement(nodeCrypto, identity.publicKey, utf8('y'), signature)).rejects.toMatchObject({
    code: 'auth/bad-signature',
  });
});

/** Every field of `value`, changed, must change the statement. */
function changes<T extends object>(value: T, statement: (value: T) => Uint8Array, except: (keyof T)[] = []): void {
  const original = toHex(statement(value));
  for (const key of Object.keys(value) as (keyof T)[]) {
    if (except.includes(key)) continue;
    const old: unknown = value[key];
    const changed =
      old instanceof Uint8Array
        ? fill(0xee, old.length)
        : typeof old === 'number'
          ? old + 1
          : Array.isArray(old)
            ? [...old, old[0]]
            : `${old}x`;
    expect(toHex(statement({ ...value, [key]: changed })), String(key)).not.toBe(original);
  }
}

describe('statements', () => {
  test('[ST1] the offer, field by field in the order of the specification', () => {
    const fields = decodeCanon('offer', offerStatement(offer)).map(toHex);
    expect(fields).toEqual([
      '01',
      toHex(utf8('digits')),
      '03000000',
      '01000000',
      '03000000',
      toHex(fill(4)),
      toHex(fill(5)),
      toHex(utf8('train')),
      toHex(fill(6)),
    ]);
  });

  test('the commit: session, participants, aggregate, model, previous head', () => {
    const fields = decodeCanon('commit', commitStatement(commit)).map(toHex);
    expect(fields).toEqual([toHex(fill(7)), '0a000000', toHex(fill(8)), toHex(fill(9)), '00'.repeat(32)]);
  });

  test('cover every field', () => {
    changes(offer, offerStatement);
    changes(handshake, welcomeStatement);
    changes(handshake, (h) => authStatement(h, fill(9)));
    changes(commit, commitStatement, ['round', 'attempt', 'signature']);
    const blob = { name: 'model', hash: fill(1), bytes: 100 };
    changes({ offerHash: fill(1), index: 0, blobs: [blob] }, exchangeStatement);
    changes(blob, (b) => exchangeStatement({ offerHash: fill(1), index: 0, blobs: [b] }));
  });

  test('the same fields under another label are another statement', () => {
    expect(toHex(authStatement(handshake, fill(9)))).not.toContain(toHex(welcomeStatement(handshake)));
  });

  test('heads chain: SHA-256(previous head ‖ statement)', async () => {
    const head = await headAfter(nodeCrypto, commit);
    expect(toHex(head)).toBe(toHex(await nodeCrypto.sha256(concat(GENESIS_HEAD, commitStatement(commit)))));
    const second = { ...commit, prevHead: head };
    const next = await nodeCrypto.sha256(concat(head, commitStatement(second)));
    expect(toHex(await headAfter(nodeCrypto, second))).toBe(toHex(next));
    expect(toHex(await offerHashOf(nodeCrypto, offer))).toBe(toHex(await nodeCrypto.sha256(offerStatement(offer))));
  });
});

describe('certificates', () => {
  const certificate: Certificate = {
    identity: fill(11),
    tasks: ['digits', 'fashion'],
    notAfter: 2_000_000_000,
    nonce: fill(12),
  };
  const use = () => ({
    operatorKey: identity.publicKey,
    identity: fill(11),
    task: 'digits',
    nowSeconds: 1_999_999_999,
  });
  const issue = (c: Certificate = certificate) => issueCertificate(identity.sign, c);

  test('[CE1] come back and verify', async () => {
    const bytes = await issue();
    expect(bytes.length).toBeLessThanOrEqual(1024);
    expect(decodeCertificate(bytes).certificate).toEqual(certificate);
    expect(await verifyCertificate(nodeCrypto, bytes, use())).toEqual(certificate);
    expect(decodeCanon('cert', bytes.subarray(0, -64)).length).toBe(4);
  });

  test.each([
    ['another participant', { identity: fill(13) }],
    ['another task', { task: 'other' }],
    ['another operator', { operatorKey: fill(14) }],
    ['a time after its end', { nowSeconds: 2_000_000_001 }],
  ])('refuse %s', async (_, change) => {
    await expect(verifyCertificate(nodeCrypto, await issue(), { ...use(), ...change })).rejects.toMatchObject({
      code: 'auth/certificate-invalid',
    });
  });

  test('refuse every changed byte and every cut', async () => {
    const bytes = await issue();
    for (let at = 0; at < bytes.length; at++) {
      const broken = bytes.slice();
      broken[at]! ^= 1;
      await expect(verifyCertificate(nodeCrypto, broken, use()), `byte ${at}`).rejects.toMatchObject({
        code: 'auth/certificate-invalid',
      });
      expect(() => decodeCertificate(bytes.subarray(0, at))).toThrow();
    }
  });

  test('name one to eight tasks, and have exactly their fields', async () => {
    await expect(issue({ ...certificate, tasks: [] })).rejects.toMatchObject({ code: 'auth/certificate-invalid' });
    await expect(issue({ ...certificate, tasks: Array(9).fill('t') })).rejects.toThrow();
    const most = await issue({ ...certificate, tasks: Array(8).fill('t'.repeat(64)) });
    expect(most.length).toBeLessThanOrEqual(1024);
    const statement = certificateStatement(certificate);
    const extra = concat(statement, Uint8Array.of(0, 0, 0, 0));
    expect(() => decodeCertificate(concat(extra, fill(0, 64)))).toThrow('its fields');
  });
});
