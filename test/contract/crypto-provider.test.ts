import { expect, test } from 'vitest';
import { concat, equalBytes, fromHex, toHex } from '../../protocol/bytes.ts';
import { checkX25519Key, isCanonicalSignature, isUsableEd25519Key } from '../../protocol/crypto/curves.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { createWebCrypto, webCrypto } from '../../protocol/crypto/web.ts';
import { adderContract, cryptoContract, SMALL_ORDER_ED25519 } from './crypto-provider.ts';

adderContract();
cryptoContract('node', nodeCrypto);
cryptoContract('web', webCrypto);
cryptoContract('web, curves of the platform', createWebCrypto('platform'));
cryptoContract('web, curves of tweetnacl', createWebCrypto('tweetnacl'));

test('[KY1] [KY2] keys at and above the prime are not canonical, just below they are', () => {
  const p = fromHex(`ed${'ff'.repeat(30)}7f`);
  for (let add = 0; add < 19; add++) {
    const key = p.slice();
    key[0]! += add;
    expect(isUsableEd25519Key(key)).toBe(false);
    expect(() => checkX25519Key(key)).toThrow('not a usable');
  }
  const below = p.slice();
  below[0] = 0xeb; // p − 2
  expect(isUsableEd25519Key(below)).toBe(true);
  expect(() => checkX25519Key(below)).not.toThrow();
  below[31]! |= 0x80;
  expect(isUsableEd25519Key(below)).toBe(true); // a sign bit
  expect(() => checkX25519Key(below)).toThrow('not a usable');
});

test('[KY1] S is below L, R is canonical', () => {
  const order = fromHex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010');
  const last = order.slice();
  last[0]! -= 1;
  const r = fromHex(`58${'66'.repeat(31)}`);
  expect(isCanonicalSignature(concat(r, last))).toBe(true);
  expect(isCanonicalSignature(concat(r, order))).toBe(false);
  expect(isCanonicalSignature(concat(fromHex(`ed${'ff'.repeat(30)}7f`), last))).toBe(false);
  // x = 0 with a sign: the same point as without
  expect(isCanonicalSignature(concat(fromHex(`01${'00'.repeat(30)}80`), last))).toBe(false);
  expect(isCanonicalSignature(concat(fromHex(`01${'00'.repeat(31)}`), last))).toBe(true);
});

test('the small-order points are those of the curve: y of 8·P = 1', () => {
  const p = 2n ** 255n - 19n;
  const power = (base: bigint, exponent: bigint): bigint => {
    let result = 1n;
    for (let b = base, e = exponent; e > 0n; e >>= 1n, b = (b * b) % p) if (e & 1n) result = (result * b) % p;
    return result;
  };
  const inverse = (n: bigint) => power(((n % p) + p) % p, p - 2n);
  const d = ((-121665n * inverse(121666n)) % p) + p;
  const mod = (n: bigint) => ((n % p) + p) % p;
  // Doubling needs x², not x: y(2P) = (y² + x²) / (2 − y² + x²·…) with x² = (y² − 1) / (d·y² + 1).
  const double = (y: bigint): bigint => {
    const y2 = mod(y * y);
    const x2 = mod((y2 - 1n) * inverse(mod(d * y2) + 1n));
    return mod((y2 + x2) * inverse(1n - mod(mod(d * x2) * y2)));
  };
  for (const hex of SMALL_ORDER_ED25519) {
    const bytes = fromHex(hex);
    bytes[31]! &= 0x7f;
    const y = bytes.reduceRight((n, byte) => n * 256n + BigInt(byte), 0n);
    expect(double(double(double(y)))).toBe(1n);
    expect(isUsableEd25519Key(fromHex(hex))).toBe(false);
  }
  expect(new Set(SMALL_ORDER_ED25519).size).toBe(8);
});

test('sealed by one provider, opened by another', async () => {
  const key = nodeCrypto.randomBytes(32);
  const nonce = nodeCrypto.randomBytes(12);
  const plaintext = nodeCrypto.randomBytes(1000);
  const sealed = await nodeCrypto.aes256gcmSeal(key, nonce, plaintext, nonce);
  expect(toHex(await webCrypto.aes256gcmSeal(key, nonce, plaintext, nonce))).toBe(toHex(sealed));
  expect(equalBytes(await webCrypto.aes256gcmOpen(key, nonce, sealed, nonce), plaintext)).toBe(true);
});
