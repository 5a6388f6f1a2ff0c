/** What every sealing suite must hold (SPEC.md §6), as a suite that Node and browser tests run with their providers. */
import { describe, expect, test } from 'vitest';
import { concat, equalBytes, fromHex } from '../../protocol/bytes.ts';
import type { CryptoProvider, KeyPair } from '../../protocol/crypto/provider.ts';
import { SEGMENT_BYTES, type SealContext, type SealingSuite, TAG_BYTES } from '../../protocol/sealing/suite.ts';
import { LOW_ORDER_X25519 } from './crypto-provider.ts';

const fill = (byte: number, length = 32): Uint8Array => new Uint8Array(length).fill(byte);

export const SEAL_CONTEXT: SealContext = {
  participant: fill(1),
  task: 'digits',
  round: 3,
  attempt: 0,
  exchange: 0,
  planHash: fill(2),
  modelHash: fill(3),
  offerHash: fill(4),
};

const plaintextOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 131 + (i >> 8)) & 0xff);
const malformed = expect.objectContaining({ code: 'report/malformed' });

export function sealingContract(name: string, crypto: CryptoProvider, suite: SealingSuite): void {
  describe(`${suite.name}: ${name}`, () => {
    const keys: Promise<KeyPair> = crypto.x25519KeyPair();
    const seal = async (plaintext: Uint8Array, context = SEAL_CONTEXT) =>
      suite.seal(crypto, (await keys).publicKey, context, plaintext);
    const open = async (sealed: Uint8Array, context = SEAL_CONTEXT) =>
      suite.open(crypto, (await keys).secretKey, context, sealed);

    // The nacl-box plaintext is 32 bytes longer than the report, so its segments end elsewhere.
    test.each([
      0,
      1,
      31,
      32,
      1000,
      SEGMENT_BYTES - 33,
      SEGMENT_BYTES - 32,
      SEGMENT_BYTES - 31,
      SEGMENT_BYTES,
      SEGMENT_BYTES + 1,
    ])('[SE2] gives back %i bytes, and says before how long they will be', async (length) => {
      const plaintext = plaintextOf(length);
      const sealed = await seal(plaintext);
      expect(sealed.length).toBe(suite.sealedBytes(length));
      expect(equalBytes(await open(sealed), plaintext)).toBe(true);
    });

    test('[SE5] the same report sealed twice is not the same twice, and shows nothing of it', async () => {
      const plaintext = fill(0, 500);
      const [one, two] = [await seal(plaintext), await seal(plaintext)];
      expect(equalBytes(one, two)).toBe(false);
      expect(equalBytes(one.subarray(0, 32), two.subarray(0, 32))).toBe(false);
      expect(new Set(one.subarray(32)).size).toBeGreaterThan(150);
    });

    test('[SE1] [SE6] another participant, task, round, attempt, exchange, plan, model or offer cannot open it', async () => {
      const sealed = await seal(plaintextOf(100));
      const changes: Partial<SealContext>[] = [
        { participant: fill(9) },
        { task: 'digit' },
        { round: 4 },
        { attempt: 1 },
        { exchange: 1 },
        { planHash: fill(9) },
        { modelHash: fill(9) },
        { offerHash: fill(9) },
      ];
      expect(changes.length).toBe(Object.keys(SEAL_CONTEXT).length);
      for (const change of changes) {
        await expect(open(sealed, { ...SEAL_CONTEXT, ...change }), Object.keys(change)[0]).rejects.toThrow(malformed);
      }
    });

    test('another key cannot open it', async () => {
      const sealed = await seal(plaintextOf(100));
      const other = await crypto.x25519KeyPair();
      await expect(suite.open(crypto, other.secretKey, SEAL_CONTEXT, sealed)).rejects.toThrow(malformed);
    });

    test('[SE6] no changed bit opens', async () => {
      const sealed = await seal(plaintextOf(70));
      for (let at = 32; at < sealed.length; at += 3) {
        const broken = sealed.slice();
        broken[at]! ^= 0x10;
        await expect(open(broken), `byte ${at}`).rejects.toThrow(malformed);
      }
      for (const at of [0, 15, 30]) {
        const broken = sealed.slice();
        broken[at]! ^= 0x10;
        await expect(open(broken), `byte ${at}`).rejects.toMatchObject({ code: expect.stringMatching(/report|auth/) });
      }
    });

    test('[SE6] no cut and no addition opens', async () => {
      const sealed = await seal(plaintextOf(50));
      for (const length of [0, 1, 31, 32, 47, 48, sealed.length - 16, sealed.length - 1]) {
        await expect(open(sealed.subarray(0, length)), `${length} bytes`).rejects.toThrow(malformed);
      }
      await expect(open(concat(sealed, Uint8Array.of(0)))).rejects.toThrow(malformed);
      await expect(open(concat(sealed, sealed))).rejects.toThrow(malformed);
    });

    test('[SE6] segments cannot be dropped, swapped, repeated or made the last', async () => {
      const sealed = await seal(plaintextOf(2 * SEGMENT_BYTES + 100));
      const whole = SEGMENT_BYTES + TAG_BYTES;
      const [head, one, two, rest] = [
        sealed.subarray(0, 32),
        sealed.subarray(32, 32 + whole),
        sealed.subarray(32 + whole, 32 + 2 * whole),
        sealed.subarray(32 + 2 * whole),
      ];
      expect(equalBytes(await open(concat(head, one, two, rest)), plaintextOf(2 * SEGMENT_BYTES + 100))).toBe(true);
      for (const [what, parts] of [
        ['truncated after one segment', [one]],
        ['truncated after two segments', [one, two]],
        ['the first dropped', [two, rest]],
        ['the middle dropped', [one, rest]],
        ['swapped', [two, one, rest]],
        ['one repeated', [one, one, rest]],
        ['one repeated and kept', [one, one, two, rest]],
        ['the last repeated', [one, two, rest, rest]],
        ['only the last', [rest]],
      ] as const) {
        await expect(open(concat(head, ...parts)), what).rejects.toThrow(malformed);
      }
    });

    test.each(LOW_ORDER_X25519)('[SE5] the low-order key %s is refused on both sides', async (hex) => {
      const bad = expect.objectContaining({ code: 'auth/bad-key' });
      await expect(suite.seal(crypto, fromHex(hex), SEAL_CONTEXT, fill(0))).rejects.toThrow(bad);
      const sealed = await seal(plaintextOf(10));
      sealed.set(fromHex(hex));
      await expect(open(sealed)).rejects.toThrow(bad);
    });
  });
}
