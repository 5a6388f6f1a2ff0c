/**
 * What every crypto provider must answer, as a suite that Node and browser tests run: published known answers, the strictness of
 * SPEC.md §4.4, and one transcript hash over many operations that is the same for every provider.
 */
import nacl from 'tweetnacl';
import { describe, expect, test } from 'vitest';
import { asBytes, concat, equalBytes, fromHex, toHex, u32le, utf8 } from '../../protocol/bytes.ts';
import { checkX25519Key } from '../../protocol/crypto/curves.ts';
import { PIECE_WORDS, plainAdder, type RingAdder, wasmAdder } from '../../protocol/crypto/masks.ts';
import type { CryptoProvider } from '../../protocol/crypto/provider.ts';

const repeat = (byte: number, n: number): Uint8Array<ArrayBuffer> => new Uint8Array(n).fill(byte);
const counting = (from: number, n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => from + i);

/** RFC 8032 §7.1, tests 1–3: seed, public key, message, signature. */
const ED25519 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
] as const;

/** RFC 7748 §5.2 and §6.1: scalar, u-coordinate, output. The second u has its top bit set, which is ignored. */
const X25519 = [
  [
    'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
    'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
    'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
  ],
  [
    '4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
    'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
    '95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957',
  ],
  [
    '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb',
    '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
  ],
  [`09${'00'.repeat(31)}`, `09${'00'.repeat(31)}`, '422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079'],
] as const;

/** RFC 5869 appendix A, tests 1–3: input key, salt, info, output. */
const HKDF = [
  [
    repeat(0x0b, 22),
    counting(0, 13),
    counting(0xf0, 10),
    '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  ],
  [
    counting(0, 80),
    counting(0x60, 80),
    counting(0xb0, 80),
    'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87',
  ],
  [
    repeat(0x0b, 22),
    new Uint8Array(0),
    new Uint8Array(0),
    '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
  ],
] as const;

const GCM_KEY = 'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308';
const GCM_PLAIN =
  'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255';
const GCM_CIPHER =
  '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad';

type GcmBytes = [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];

/** The GCM submission to NIST, tests 13–16: key, nonce, plaintext, associated data, ciphertext ‖ tag. */
const GCM = [
  ['00'.repeat(32), '00'.repeat(12), '', '', '530f8afbc74536b9a963b4f1c4cb738b'],
  [
    '00'.repeat(32),
    '00'.repeat(12),
    '00'.repeat(16),
    '',
    'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
  ],
  [GCM_KEY, 'cafebabefacedbaddecaf888', GCM_PLAIN, '', `${GCM_CIPHER}b094dac5d93471bdec1a502270e3cc6c`],
  [
    GCM_KEY,
    'cafebabefacedbaddecaf888',
    GCM_PLAIN.slice(0, 120),
    'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    `${GCM_CIPHER.slice(0, 120)}76fc6ece0f4e1768cddf8853bb2d551b`,
  ],
] as const;

/** The seven points of small order (two of them not canonical), and the same with the top bit set. */
export const LOW_ORDER_X25519 = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
].flatMap((hex) => {
  const top = fromHex(hex);
  top[31]! |= 0x80;
  return [hex, toHex(top)];
});

/** The eight points of small order of Ed25519. */
export const SMALL_ORDER_ED25519 = [
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '00'.repeat(32),
  `${'00'.repeat(31)}80`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
];

const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const toNumber = (bytes: Uint8Array): bigint => bytes.reduceRight((n, byte) => n * 256n + BigInt(byte), 0n);
const fromNumber = (n: bigint): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, i) => Number((n >> BigInt(8 * i)) & 0xffn));

/** SHA-256 of everything that `transcript` makes, the same for every provider. */
const TRANSCRIPT = '4f6b0288404cb9ac6c8a3cb238b392ad1170b8aeefe89e2441878ac501dac7ec';

/** Every operation on inputs counted up from a hash, all outputs in one row. */
async function transcript(crypto: CryptoProvider): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const draw = (purpose: string, i: number) => crypto.sha256(concat(utf8(purpose), u32le(i)));
  for (let i = 0; i < 12; i++) {
    const [a, b] = [await crypto.x25519KeyPair(await draw('a', i)), await crypto.x25519KeyPair(await draw('b', i))];
    const shared = await crypto.x25519(a.secretKey, b.publicKey);
    expect(toHex(await crypto.x25519(b.secretKey, a.publicKey))).toBe(toHex(shared));
    const key = await crypto.hkdfSha256(shared, utf8('salt'), a.publicKey, 44);
    const message = key.subarray(0, i);
    const sealed = await crypto.aes256gcmSeal(key.subarray(0, 32), key.subarray(32), message, b.publicKey);
    const signer = await crypto.ed25519KeyPair(await draw('signer', i));
    const signature = await crypto.ed25519Sign(signer.secretKey, message);
    expect(await crypto.ed25519Verify(signer.publicKey, message, signature)).toBe(true);
    parts.push(a.publicKey, b.publicKey, shared, key, sealed, signer.publicKey, signature);
  }
  return concat(...parts);
}

/** SHA-256 of the vector of the mask test, the same for every provider. */
const MASKED = '48955dbd9acc16556b1c4c7b3f07d5e7ec3dfa18f5019c62b34633980454df7a';

/** Both ways to add a mask give the sum that a plain loop gives, at every length. */
export function adderContract(): void {
  describe.each<[string, () => RingAdder]>([
    ['plain', plainAdder],
    ['wasm', wasmAdder],
  ])('adder: %s', (_, create) => {
    test.each([1, 4, 15, 16, 17, 100, PIECE_WORDS - 1, PIECE_WORDS])('%i words', (length) => {
      const adder = create();
      const same = (a: Int32Array, b: Int32Array): boolean => equalBytes(asBytes(a), asBytes(b));
      const words = Int32Array.from({ length }, (__, i) => Math.imul(i + 1, 0x7fedcba9));
      const mask = Int32Array.from({ length }, (__, i) => Math.imul(i + 7, 0x5bd1e995));
      const result = new Int32Array(length);
      adder.load(words);
      adder.apply(asBytes(mask), 1);
      adder.store(result);
      expect(
        same(
          result,
          words.map((word, i) => (word + mask[i]!) | 0),
        ),
      ).toBe(true);
      adder.apply(asBytes(mask), -1);
      adder.apply(asBytes(mask), -1);
      adder.store(result);
      expect(
        same(
          result,
          words.map((word, i) => (word - mask[i]!) | 0),
        ),
      ).toBe(true);
      adder.clear();
      adder.store(result);
      expect(result.every((word) => word === 0)).toBe(true);
    });

    test.each<(1 | -1)[]>([
      [1, 1],
      [1, -1],
      [-1, 1],
      [-1, -1],
      [1, -1, -1],
      [-1, 1, 1, -1, 1],
    ])('masks one after the other: %i, %i', (...signs) => {
      const adder = create();
      const expected = Int32Array.from({ length: 100 }, (__, i) => Math.imul(i + 1, 0x7fedcba9));
      adder.load(expected);
      for (const [n, sign] of signs.entries()) {
        const mask = expected.map((__, i) => Math.imul(i + 7, 0x5bd1e995 + 2 * n));
        adder.apply(asBytes(mask), sign);
        for (let i = 0; i < 100; i++) expected[i] = (expected[i]! + sign * mask[i]!) | 0;
      }
      const result = new Int32Array(100);
      adder.store(result);
      expect(result).toEqual(expected);
    });
  });
}

export function cryptoContract(name: string, crypto: CryptoProvider): void {
  describe(`crypto: ${name}`, () => {
    test('SHA-256 known answers', async () => {
      expect(toHex(await crypto.sha256(utf8('abc')))).toBe(
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      );
      expect(toHex(await crypto.sha256(new Uint8Array(0)))).toBe(
        'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      );
    });

    test.each(HKDF)('HKDF-SHA-256 known answers (%#)', async (ikm, salt, info, expected) => {
      expect(toHex(await crypto.hkdfSha256(ikm, salt, info, expected.length / 2))).toBe(expected);
    });

    test.each(GCM)('AES-256-GCM known answers (%#)', async (...hex) => {
      const [key, nonce, plaintext, associated, sealed] = hex.map(fromHex) as GcmBytes;
      expect(toHex(await crypto.aes256gcmSeal(key, nonce, plaintext, associated))).toBe(toHex(sealed));
      expect(toHex(await crypto.aes256gcmOpen(key, nonce, sealed, associated))).toBe(toHex(plaintext));
      for (const at of [0, sealed.length - 1]) {
        const broken = sealed.slice();
        broken[at]! ^= 1;
        await expect(crypto.aes256gcmOpen(key, nonce, broken, associated)).rejects.toMatchObject({
          code: 'report/malformed',
        });
      }
      await expect(crypto.aes256gcmOpen(key, nonce, sealed, concat(associated, Uint8Array.of(0)))).rejects.toThrow();
      await expect(crypto.aes256gcmOpen(key, nonce, sealed.subarray(0, 15), associated)).rejects.toMatchObject({
        code: 'report/malformed',
      });
    });

    test.each(X25519)('X25519 known answers (%#)', async (scalar, u, output) => {
      expect(toHex(await crypto.x25519(fromHex(scalar), fromHex(u)))).toBe(output);
    });

    test('X25519 public key of a known secret', async () => {
      const pair = await crypto.x25519KeyPair(fromHex(X25519[2][0]));
      expect(toHex(pair.publicKey)).toBe('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
      expect(toHex(pair.secretKey)).toBe(X25519[2][0]);
    });

    test.each(LOW_ORDER_X25519)('[KY2] X25519 with the low-order key %s is refused', async (hex) => {
      await expect(crypto.x25519(fromHex(X25519[0][0]), fromHex(hex))).rejects.toMatchObject({ code: 'auth/bad-key' });
      expect(() => checkX25519Key(fromHex(hex))).toThrow(expect.objectContaining({ code: 'auth/bad-key' }));
    });

    test('X25519 of one secret with each of several keys, or with none if one of them is of small order', async () => {
      const secret = fromHex(X25519[0][0]);
      const keys = X25519.map(([, u]) => fromHex(u));
      const each = await crypto.x25519Each(secret, keys);
      expect(each.map(toHex)).toEqual(
        await Promise.all(keys.map(async (key) => toHex(await crypto.x25519(secret, key)))),
      );
      expect(await crypto.x25519Each(secret, [])).toEqual([]);
      for (const bad of [...LOW_ORDER_X25519.map(fromHex), new Uint8Array(31)]) {
        await expect(crypto.x25519Each(secret, [...keys, bad])).rejects.toMatchObject({ code: 'auth/bad-key' });
      }
    });

    test.each(ED25519)('Ed25519 known answers (%#)', async (seed, publicKey, message, signature) => {
      const pair = await crypto.ed25519KeyPair(fromHex(seed));
      expect(toHex(pair.publicKey)).toBe(publicKey);
      expect(toHex(pair.secretKey)).toBe(seed);
      expect(toHex(await crypto.ed25519Sign(pair.secretKey, fromHex(message)))).toBe(signature);
      expect(await crypto.ed25519Verify(pair.publicKey, fromHex(message), fromHex(signature))).toBe(true);
    });

    test('Ed25519 refuses another message, key or signature', async () => {
      const [[, key, , signature], [, otherKey]] = ED25519;
      expect(await crypto.ed25519Verify(fromHex(key), utf8('x'), fromHex(signature))).toBe(false);
      expect(await crypto.ed25519Verify(fromHex(otherKey), new Uint8Array(0), fromHex(signature))).toBe(false);
      for (let bit = 0; bit < 512; bit += 37) {
        const broken = fromHex(signature);
        broken[bit >> 3]! ^= 1 << (bit & 7);
        expect(await crypto.ed25519Verify(fromHex(key), new Uint8Array(0), broken)).toBe(false);
      }
      for (const length of [0, 63, 65]) {
        expect(await crypto.ed25519Verify(fromHex(key), new Uint8Array(0), new Uint8Array(length))).toBe(false);
      }
      expect(await crypto.ed25519Verify(new Uint8Array(31), new Uint8Array(0), fromHex(signature))).toBe(false);
    });

    test('[KY1] Ed25519 refuses S + L, which tweetnacl takes', async () => {
      const [seed, key] = [fromHex(ED25519[2][0]), fromHex(ED25519[2][1])];
      const message = fromHex('af82');
      const signature = await crypto.ed25519Sign(seed, message);
      const mauled = concat(signature.subarray(0, 32), fromNumber(toNumber(signature.subarray(32)) + L));
      expect(nacl.sign.detached.verify(message, mauled, key)).toBe(true);
      expect(await crypto.ed25519Verify(key, message, mauled)).toBe(false);
    });

    test.each(SMALL_ORDER_ED25519)('[KY1] Ed25519 refuses the small-order key %s', async (hex) => {
      // With the identity as key, R = B and S = 1 sign every message; with the others, one in a few messages.
      const forged = concat(fromHex(`58${'66'.repeat(31)}`), fromNumber(1n));
      for (let i = 0; i < 16; i++) expect(await crypto.ed25519Verify(fromHex(hex), u32le(i), forged)).toBe(false);
    });

    test('tweetnacl would take a forgery under the identity key', () => {
      const forged = concat(fromHex(`58${'66'.repeat(31)}`), fromNumber(1n));
      expect(nacl.sign.detached.verify(utf8('anything'), forged, fromHex(SMALL_ORDER_ED25519[0]!))).toBe(true);
    });

    test('keys of a wrong length are refused', async () => {
      for (const length of [0, 31, 33]) {
        const wrong = new Uint8Array(length).fill(9);
        await expect(crypto.x25519(wrong, repeat(9, 32))).rejects.toMatchObject({ code: 'auth/bad-key' });
        await expect(crypto.x25519(repeat(9, 32), wrong)).rejects.toMatchObject({ code: 'auth/bad-key' });
        await expect(crypto.ed25519Sign(wrong, repeat(9, 32))).rejects.toMatchObject({ code: 'auth/bad-key' });
      }
    });

    test('fresh keys differ and work, randomness is not constant', async () => {
      const [a, b] = [await crypto.x25519KeyPair(), await crypto.x25519KeyPair()];
      expect(toHex(await crypto.x25519(a.secretKey, b.publicKey))).toBe(
        toHex(await crypto.x25519(b.secretKey, a.publicKey)),
      );
      expect(toHex(a.secretKey)).not.toBe(toHex(b.secretKey));
      const signer = await crypto.ed25519KeyPair();
      const signature = await crypto.ed25519Sign(signer.secretKey, utf8('m'));
      expect(await crypto.ed25519Verify(signer.publicKey, utf8('m'), signature)).toBe(true);
      const long = crypto.randomBytes(200_000);
      expect(long.length).toBe(200_000);
      for (let at = 0; at < long.length; at += 50_000) {
        expect(new Set(long.subarray(at, at + 50_000)).size).toBe(256);
      }
    });

    test('masks: the known keystream of AES-256-CTR, added and taken away', async () => {
      const words = new Int32Array(8);
      const key = counting(0, 32);
      await crypto.applyMasks(words, [{ key, sign: 1 }]);
      expect(toHex(asBytes(words))).toBe('f29000b62a499fd0a9f39a6add2e7780f05d76ae4ab99fe5a6f69b3148c2363d');
      await crypto.applyMasks(words, [{ key, sign: -1 }]);
      expect(toHex(asBytes(words))).toBe('00'.repeat(32));
    });

    test('masks: one stream over pieces and calls, from any block, as a naïve sum has it', async () => {
      // longer than one call of WebCrypto (1 MiB), not a multiple of a piece, a block or 64 bytes
      const length = 262_144 + PIECE_WORDS + 21;
      const masks = Array.from({ length: 6 }, (_, i) => ({ key: repeat(i + 1, 32), sign: i % 2 ? -1 : 1 }) as const);
      const start = Int32Array.from({ length }, (_, i) => Math.imul(i, 0x9e3779b1));
      const words = start.slice();
      await crypto.applyMasks(words, masks);
      const expected = start.slice();
      for (const { key, sign } of masks) {
        const single = new Int32Array(length);
        await crypto.applyMasks(single, [{ key, sign: 1 }]);
        for (let i = 0; i < length; i++) expected[i] = (expected[i]! + sign * single[i]!) | 0;
      }
      expect(equalBytes(asBytes(words), asBytes(expected))).toBe(true);
      for (const from of [4, PIECE_WORDS - 8, 262_140]) {
        const part = start.slice(from, from + 1000);
        await crypto.applyMasks(part, masks, from);
        expect(equalBytes(asBytes(part), asBytes(words.subarray(from, from + 1000)))).toBe(true);
      }
      expect(toHex(await crypto.sha256(asBytes(words)))).toBe(MASKED);
      await expect(crypto.applyMasks(words, masks, 2)).rejects.toThrow(RangeError);
    });

    test('the same bytes as every other provider', async () => {
      expect(toHex(await crypto.sha256(await transcript(crypto)))).toBe(TRANSCRIPT);
    });
  });
}
