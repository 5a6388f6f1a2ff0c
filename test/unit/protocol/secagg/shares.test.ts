/** Shamir's scheme: the library's shares, our recovery against the library's, corrupted shares, and that t − 1 shares say nothing. */
import fc from 'fast-check';
import { combine } from 'shamir-secret-sharing';
import { describe, expect, test } from 'vitest';
import { equalBytes, toHex } from '../../../../protocol/bytes.ts';
import { combineRows, lagrangeBasis } from '../../../../protocol/secagg/gf256.ts';
import { thresholdOf } from '../../../../protocol/secagg/rules.ts';
import { type Contribution, recoverSecret, SHARE_BYTES, splitSecret } from '../../../../protocol/secagg/shares.ts';

const secret = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env.FUZZ_RUNS ?? 40);

async function contributions(size: number, threshold = thresholdOf(size)): Promise<Contribution[]> {
  const shares = await splitSecret(secret, size, 0, threshold);
  return shares.flatMap((share, from) => (share ? [{ from, share }] : []));
}
const corrupt = (all: Contribution[], ...which: number[]): Contribution[] =>
  all.map((entry) => {
    if (!which.includes(entry.from)) return entry;
    const share = entry.share.slice();
    share[entry.from % 32]! ^= 0x10;
    return { ...entry, share };
  });

describe('shares', () => {
  test('[SS1] one for each, 33 bytes, each with an x of its own', async () => {
    const all = await contributions(100);
    expect(all.length).toBe(100);
    expect(all.every(({ share }) => share.length === SHARE_BYTES)).toBe(true);
    const xs = new Set(all.map(({ share }) => share[32]));
    expect(xs.size).toBe(100);
    expect(xs.has(0)).toBe(false);
  });

  test('[SS1] a Buffer may be split, and is not touched', async () => {
    const buffer = Buffer.from(secret);
    const shares = await splitSecret(buffer, 5, 2, 3);
    expect(toHex(buffer)).toBe(toHex(secret));
    expect(toHex(await combine(shares.slice(0, 3) as Uint8Array[]))).toBe(toHex(secret));
  });

  test('[SS1] of 256 one keeps none', async () => {
    const shares = await splitSecret(secret, 256, 77, 171);
    expect(shares.length).toBe(256);
    expect(shares.flatMap((share, i) => (share ? [] : [i]))).toEqual([77]);
  });

  test('the coefficients are different each time', async () => {
    const [a, b] = [await splitSecret(secret, 5, 0, 3), await splitSecret(secret, 5, 0, 3)];
    expect(new Set([...a, ...b].map((share) => toHex(share!))).size).toBe(10);
  });

  test.each([
    [3, 3],
    [10, 7],
    [100, 67],
    [255, 171],
  ])('recovered as the library does, %i shares, threshold %i', async (n, t) => {
    const all = await contributions(n, t);
    const chosen = all.slice(n - t);
    const xs = chosen.map(({ share }) => share[32]!);
    const ours = combineRows(
      lagrangeBasis(xs, 0),
      chosen.map(({ share }) => share),
      32,
    );
    expect(toHex(ours)).toBe(toHex(await combine(chosen.map(({ share }) => share))));
    expect(toHex(ours)).toBe(toHex(secret));
  });

  test('P2 t − 1 shares fit every value of a byte', async () => {
    const [a, b, missing] = (await splitSecret(secret, 3, 0, 3)) as [Uint8Array, Uint8Array, Uint8Array];
    const points = [a[32]!, b[32]!, missing[32]!];
    const basis = lagrangeBasis(points, 0);
    const values = new Set(
      Array.from(
        { length: 256 },
        (_, y) => combineRows(basis, [a.subarray(0, 1), b.subarray(0, 1), Uint8Array.of(y)], 1)[0],
      ),
    );
    expect(values.size).toBe(256);
  });
});

describe('A11 wrong shares', () => {
  /** Recovers from these, where the shares of `dealt` are what their dealer has marked. */
  const recover = (
    given: readonly Contribution[],
    dealt: readonly Contribution[],
    t: number,
    distrusted?: Set<number>,
  ) =>
    recoverSecret(
      given,
      t,
      {
        verify: async (found) => equalBytes(found, secret),
        fits: async ({ from, share }) => equalBytes(share, dealt.find((entry) => entry.from === from)!.share),
      },
      distrusted,
    );

  test('[SS2] the first t of all are enough when they are right', async () => {
    const dealt = await contributions(10);
    const found = await recover(corrupt(dealt, 8, 9), dealt, 7);
    expect(found).toEqual({ secret, wrong: [], isDealt: true });
  });

  test(`[SS2] as many wrong ones as there are more than t, wherever they lie, are found (seed ${SEED})`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 3, max: 60 }), fc.infiniteStream(fc.nat()), async (n, picks) => {
        const t = thresholdOf(n);
        const dealt = await contributions(n, t);
        const order = dealt.map(({ from }) => ({ from, place: picks.next().value }));
        const wrong = order
          .sort((a, b) => a.place - b.place)
          .slice(0, n - t)
          .map(({ from }) => from);
        const given = dealt.map((entry) => {
          if (!wrong.includes(entry.from)) return entry;
          const share = entry.share.slice();
          // anywhere in the share, its x included, and sometimes nothing at all
          if (picks.next().value % 4 === 0) share.fill(0);
          else share[picks.next().value % SHARE_BYTES]! ^= 1 + (picks.next().value % 255);
          return { ...entry, share };
        });
        const found = await recover(given, dealt, t);
        expect(toHex(found.secret!)).toBe(toHex(secret));
        expect(found.isDealt).toBe(true);
        // all of them, or none if the first that were taken happened to be right
        const all = wrong.toSorted((a, b) => a - b);
        expect([[], all]).toContainEqual(found.wrong.toSorted((a, b) => a - b));
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });

  test('[SS2] one more is one too many, and nobody who dealt is to blame', async () => {
    const dealt = await contributions(10);
    const found = await recover(corrupt(dealt, 0, 3, 5, 9), dealt, 7);
    expect(found).toEqual({ wrong: [0, 3, 5, 9], isDealt: true });
    expect(await recover(dealt.slice(0, 6), dealt, 7)).toEqual({ wrong: [], isDealt: true });
  });

  test('[SS2] shares that are as they were marked, and not of the secret, are their dealer’s', async () => {
    for (const bad of [[0], [0, 3, 6], [1, 2, 3, 4, 5, 6, 7, 8, 9]]) {
      const dealt = corrupt(await contributions(10), ...bad);
      expect(await recover(dealt, dealt, 7)).toEqual({ wrong: [], isDealt: false });
    }
    const twice = (await contributions(10)).map((entry, _, all) =>
      entry.from === 3 ? { ...entry, share: all[4]!.share } : entry,
    );
    expect(await recover(twice, twice, 7)).toEqual({ wrong: [], isDealt: false });
  });

  test('[SS2] those who gave wrong ones before are left out at first', async () => {
    const dealt = await contributions(10);
    const given = corrupt(dealt, 1, 5);
    expect((await recover(given, dealt, 7)).wrong).toEqual([1, 5]);
    expect(await recover(given, dealt, 7, new Set([1, 5]))).toEqual({ secret, wrong: [], isDealt: true });
    // unless there are not enough others
    expect(await recover(dealt, dealt, 7, new Set([1, 2, 3, 4, 5]))).toEqual({ secret, wrong: [], isDealt: true });
  });

  test('too few shares give another value, not an error: so nothing is used unverified', async () => {
    const all = await contributions(10);
    const few = all.slice(0, 6).map(({ share }) => share);
    expect(
      toHex(
        combineRows(
          lagrangeBasis(
            few.map((share) => share[32]!),
            0,
          ),
          few,
          32,
        ),
      ),
    ).not.toBe(toHex(secret));
  });
});
