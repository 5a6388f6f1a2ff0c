import { describe, expect, test } from 'vitest';
import { equalBytes, toHex } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import type { CryptoProvider } from '../../protocol/crypto/provider.ts';
import { createWebCrypto } from '../../protocol/crypto/web.ts';
import { SUITES } from '../../protocol/plan-privacy.ts';
import { plaintextBytesOf, segmentedBytes } from '../../protocol/sealing/suite.ts';
import { chooseSuite, suiteNamed, suites } from '../../protocol/sealing/suites.ts';
import { SEAL_CONTEXT, sealingContract } from './sealing-suite.ts';

const web = createWebCrypto('tweetnacl');
sealingContract('node', nodeCrypto, suites['nacl-box']);
sealingContract('node', nodeCrypto, suites['x25519-aes256gcm']);
sealingContract('web', web, suites['x25519-aes256gcm']);

describe.each(SUITES)('%s between providers', (name) => {
  const suite = suites[name];
  const fixed = (crypto: CryptoProvider): CryptoProvider => ({
    ...crypto,
    randomBytes: (length) => new Uint8Array(length).fill(0x5a),
  });
  const plaintext = Uint8Array.from({ length: 5000 }, (_, i) => i & 0xff);

  test('the same randomness gives the same bytes', async () => {
    const { publicKey } = await nodeCrypto.x25519KeyPair(new Uint8Array(32).fill(7));
    const byNode = await suite.seal(fixed(nodeCrypto), publicKey, SEAL_CONTEXT, plaintext);
    const byWeb = await suite.seal(fixed(web), publicKey, SEAL_CONTEXT, plaintext);
    expect(toHex(byWeb)).toBe(toHex(byNode));
  });

  test('what one seals the other opens', async () => {
    const { publicKey, secretKey } = await nodeCrypto.x25519KeyPair();
    const byWeb = await suite.seal(web, publicKey, SEAL_CONTEXT, plaintext);
    expect(equalBytes(await suite.open(nodeCrypto, secretKey, SEAL_CONTEXT, byWeb), plaintext)).toBe(true);
    const byNode = await suite.seal(nodeCrypto, publicKey, SEAL_CONTEXT, plaintext);
    expect(equalBytes(await suite.open(web, secretKey, SEAL_CONTEXT, byNode), plaintext)).toBe(true);
  });
});

test('[SE6] a report sealed in one suite is not opened in the other', async () => {
  const { publicKey, secretKey } = await nodeCrypto.x25519KeyPair();
  for (const [from, to] of [
    ['nacl-box', 'x25519-aes256gcm'],
    ['x25519-aes256gcm', 'nacl-box'],
  ] as const) {
    const sealed = await suites[from].seal(nodeCrypto, publicKey, SEAL_CONTEXT, new Uint8Array(100));
    await expect(suites[to].open(nodeCrypto, secretKey, SEAL_CONTEXT, sealed)).rejects.toMatchObject({
      code: 'report/malformed',
    });
  }
});

test('[SE2] lengths that no sealing gives are refused', () => {
  const full = 1024 * 1024;
  for (const length of [0, 1, full - 1, full, full + 1, 2 * full]) {
    expect(plaintextBytesOf(segmentedBytes(length))).toBe(length);
  }
  // a segment behind a full one holds at least one byte
  for (const length of [0, 32, 47, 32 + full + 16 + 1, 32 + full + 32]) {
    expect(() => plaintextBytesOf(length), `${length}`).toThrow(expect.objectContaining({ code: 'report/malformed' }));
  }
});

test('[SE7] suites are found by name, and chosen in the plan’s order', () => {
  expect(suiteNamed('nacl-box').name).toBe('nacl-box');
  const none = expect.objectContaining({ code: 'wire/no-common-suite' });
  for (const name of ['', 'NACL-BOX', 'constructor', '__proto__']) expect(() => suiteNamed(name)).toThrow(none);
  expect(() => suiteNamed('nacl-box', ['x25519-aes256gcm'])).toThrow(none);
  expect(chooseSuite(['nacl-box', 'x25519-aes256gcm']).name).toBe('nacl-box');
  expect(chooseSuite(['nacl-box', 'x25519-aes256gcm'], ['x25519-aes256gcm']).name).toBe('x25519-aes256gcm');
  expect(() => chooseSuite(['nacl-box'], ['other'])).toThrow(none);
});
