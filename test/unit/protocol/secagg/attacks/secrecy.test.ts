/** What must stay hidden: masks that are never used twice, bodies that look like noise, secrets that are erased. */
import { describe, expect, test } from 'vitest';
import { asBytes, toHex } from '../../../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../../../protocol/crypto/node.ts';
import type { CryptoProvider } from '../../../../../protocol/crypto/provider.ts';
import { decodeAdvertisement } from '../../../../../protocol/secagg/objects.ts';
import { openSession } from '../../../../../protocol/secagg/participant.ts';
import { OFFER_HASH, openCohort, play, type Step } from '../../../../fixtures/secagg.ts';
import type { Errors } from '../../../../fixtures/secagg-attacks.ts';

describe('A5 A17 masks are never used twice', () => {
  test('every session has keys of its own, and the same words look different', async () => {
    const keys = new Set<string>();
    const masked = new Set<string>();
    for (let attempt = 0; attempt < 3; attempt++) {
      const cohort = await openCohort({ participants: 4, exchanges: [16, 16] });
      await play(cohort, {
        hook: (step, _, body, __, way) => {
          if (step === 'advertise' && way === 'up') {
            const { maskKeys, channelKey } = decodeAdvertisement(body, 2);
            for (const key of [...maskKeys, channelKey]) keys.add(toHex(key));
          }
          if (step === 'mask' && way === 'up') masked.add(toHex(body));
          return body;
        },
      });
    }
    expect(keys.size).toBe(3 * 4 * 3);
    expect(masked.size).toBe(3 * 4 * 2);
  });

  test('keys of one identity differ over many attempts', async () => {
    const cohort = await openCohort({ participants: 1, minCohort: 4 });
    const { identity } = cohort.members[0]!;
    const seen = new Set<string>();
    for (let attempt = 0; attempt < 200; attempt++) {
      const session = openSession({
        ...{ crypto: nodeCrypto, identity, serverKey: cohort.serverIdentity.publicKey, offerHash: OFFER_HASH },
        ...{ planHash: OFFER_HASH, modelHash: OFFER_HASH, exchanges: [1], minCohort: 4, maxCohort: 9 },
        ...{ policyMinCohort: 3, certificate: new Uint8Array(0) },
      });
      const { maskKeys, channelKey } = decodeAdvertisement(await session.advertise(), 1);
      seen.add(toHex(maskKeys[0]!)).add(toHex(channelKey));
    }
    expect(seen.size).toBe(400);
  });
});

describe('A16 P5 nothing in the clear', () => {
  /** Whether a body holds 4 words of any participant's vector in a row. */
  async function leaks(crypto: CryptoProvider): Promise<boolean> {
    const cohort = await openCohort({ participants: 5, exchanges: [64], crypto });
    const windows = new Set<string>();
    for (const { i } of cohort.members) {
      const bytes = asBytes(cohort.words(i, 0));
      for (let at = 0; at + 16 <= bytes.length; at += 4) windows.add(toHex(bytes.subarray(at, at + 16)));
    }
    let found = false;
    await play(cohort, {
      hook: (_, __, body) => {
        for (let at = 0; at + 16 <= body.length; at++) found ||= windows.has(toHex(body.subarray(at, at + 16)));
        return body;
      },
    });
    return found;
  }

  test('no body holds a piece of a vector, and the detector would see it', async () => {
    expect(await leaks(nodeCrypto)).toBe(false);
    expect(await leaks({ ...nodeCrypto, applyMasks: async () => {} })).toBe(true);
  });

  test('P3 masked bytes are uniform, whatever is masked', async () => {
    for (const word of [0, 2 ** 31 - 1, -1]) {
      const cohort = await openCohort({ participants: 4, exchanges: [4096] });
      const counts = new Float64Array(256);
      await play(
        { ...cohort, words: () => new Int32Array(4096).fill(word) },
        {
          hook: (step, i, body, _, way) => {
            if (step === 'mask' && way === 'up' && i === 0) for (const byte of body) counts[byte]! += 1;
            return body;
          },
        },
      );
      const expected = (4 * 4096) / 256;
      const chi2 = counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
      // 255 degrees of freedom: outside once in a million
      expect(chi2).toBeGreaterThan(150);
      expect(chi2).toBeLessThan(385);
    }
  });
});

describe('[SA11] P9 secrets are erased', () => {
  /** A provider that remembers the secrets that it gave out. */
  function watched(): { crypto: CryptoProvider; secrets: Uint8Array[] } {
    const secrets: Uint8Array[] = [];
    const kept = <T extends Uint8Array>(secret: T): T => {
      secrets.push(secret);
      return secret;
    };
    const crypto: CryptoProvider = {
      ...nodeCrypto,
      randomBytes: (length) => (length === 32 ? kept(nodeCrypto.randomBytes(length)) : nodeCrypto.randomBytes(length)),
      x25519KeyPair: async (secret) => {
        const pair = await nodeCrypto.x25519KeyPair(secret);
        kept(pair.secretKey);
        return pair;
      },
      x25519: async (...keys) => kept(await nodeCrypto.x25519(...keys)),
      hkdfSha256: async (...parameters) => kept(await nodeCrypto.hkdfSha256(...parameters)),
    };
    return { crypto, secrets };
  }
  const alive = (secrets: Uint8Array[]): number => secrets.filter((secret) => secret.some((byte) => byte !== 0)).length;

  test.each<Step | 'end'>(['share', 'receive', 'mask', 'agree', 'unmask', 'end'])(
    'when a session is wiped at %s',
    async (step) => {
      const { crypto, secrets } = watched();
      const cohort = await openCohort({
        participants: 5,
        exchanges: [8],
        participant: (i) => (i === 1 ? { crypto } : {}),
      });
      let before = 0;
      await play(cohort, {
        hook: (s, i, body, _, way) => {
          if (s !== step || i !== 1 || way !== 'down') return body;
          before = alive(secrets);
          cohort.members[1]!.session.wipe();
          return undefined;
        },
      }).catch(() => {});
      if (step !== 'end') expect(before).toBeGreaterThan(0);
      expect(secrets.length).toBeGreaterThan(3);
      expect(alive(secrets)).toBe(0);
    },
  );

  test('when a body is refused', async () => {
    const { crypto, secrets } = watched();
    const cohort = await openCohort({ participants: 5, participant: (i) => (i === 1 ? { crypto } : {}) });
    await play(cohort, { hook: (step, i, body) => (step === 'agree' && i === 1 ? body.slice(1) : body) });
    expect(cohort.members[1]!.session.phase).toBe('failed');
    expect(alive(secrets)).toBe(0);
  });

  test('wiped while it masks: nothing comes out', async () => {
    const cohort = await openCohort({ participants: 5, exchanges: [200_000] });
    const { session } = cohort.members[0]!;
    const errors: Errors = [];
    await play(cohort, {
      errors,
      hook: (step, i, body, _, way) => {
        if (step === 'mask' && i === 0 && way === 'down') queueMicrotask(() => session.wipe());
        return body;
      },
    });
    expect(errors.map(({ step, i }) => [step, i])).toEqual([['mask', 0]]);
  });
});
