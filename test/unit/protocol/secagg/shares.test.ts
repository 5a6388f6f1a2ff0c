/** Shamir's scheme: the library's shares, our recovery against the library's, corrupted shares, and that t − 1 shares say nothing. */
import { combine } from 'shamir-secret-sharing';
import { describe, expect, test } from 'vitest';
import { equalBytes, toHex } from '../../../../protocol/bytes.ts';
import { combineRows, lagrangeBasis } from '../../../../protocol/secagg/gf256.ts';
import { thresholdOf } from '../../../../protocol/secagg/rules.ts';
import {
  type Contribution,
  findsOneWrong,
  recoverSecret,
  SHARE_BYTES,
  splitSecret,
} from '../../../../protocol/secagg/shares.ts';

const secret = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
const isSecret = async (found: Uint8Array): Promise<boolean> => equalBytes(found, secret);

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

describe('findsOneWrong', () => {
  test.each([
    [5, 1, true],
    [19, 1, true],
    [20, 1, false],
    [86, 4, false],
    [86, 5, true],
    [5, 0, false],
  ])('of %d shares and %d to spare: %s, and that is so wherever it lies', async (threshold, spare, finds) => {
    expect(findsOneWrong(threshold, spare)).toBe(finds);
    const size = threshold + spare;
    const secret = new Uint8Array(32).fill(9);
    const shares = (await splitSecret(secret, size, 0, threshold)).map((share) => share!);
    const verify = async (found: Uint8Array) => found.every((byte) => byte === 9);
    for (const at of [0, Math.floor(threshold / 2), threshold - 1, size - 1]) {
      if (!finds) continue;
      const given = shares.map((share, from) => ({
        from,
        share: share.map((byte, k) => (from === at && k < SHARE_BYTES - 1 ? byte ^ 1 : byte)),
      }));
      expect((await recoverSecret(given, threshold, verify))?.secret).toEqual(secret);
    }
  });
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
  test('[SS2] the first t of all are enough when they are right', async () => {
    const found = await recoverSecret(await contributions(10), 7, isSecret);
    expect(found?.wrong).toEqual([]);
    expect(toHex(found!.secret)).toBe(toHex(secret));
  });

  test.each([0, 3, 6, 9])('[SS2] one wrong share, of %i, is found', async (bad) => {
    const found = await recoverSecret(corrupt(await contributions(10), bad), 7, isSecret);
    expect(toHex(found!.secret)).toBe(toHex(secret));
    expect(found!.wrong).toEqual(bad < 7 ? [bad] : []);
  });

  test('[SS2] several wrong ones of a large group', async () => {
    const found = await recoverSecret(corrupt(await contributions(100), 5, 6, 20), 67, isSecret);
    expect(toHex(found!.secret)).toBe(toHex(secret));
    expect(found!.wrong).toEqual([5, 6, 20]);
  });

  test('[SS2] whoever is distrusted is asked last', async () => {
    let tries = 0;
    const counted = (s: Uint8Array): Promise<boolean> => {
      tries += 1;
      return isSecret(s);
    };
    await recoverSecret(corrupt(await contributions(100), 5, 50), 67, counted, new Set([5, 50]));
    expect(tries).toBe(1);
  });

  test('[SS2] an x of 0 or one claimed twice does not count', async () => {
    const all = await contributions(10);
    const zero = all[1]!.share.slice();
    zero[32] = 0;
    const double = all[3]!.share.slice();
    double[32] = all[4]!.share[32]!;
    const spoiled = all.map((entry) =>
      entry.from === 1 ? { ...entry, share: zero } : entry.from === 3 ? { ...entry, share: double } : entry,
    );
    const found = await recoverSecret(spoiled, 7, isSecret);
    expect(toHex(found!.secret)).toBe(toHex(secret));
    expect(found!.wrong).toEqual([1, 3]);
  });

  test('[SS2] too few or too many wrong ones: no secret, at most 20 tries', async () => {
    expect(await recoverSecret((await contributions(10)).slice(0, 6), 7, isSecret)).toBeUndefined();
    expect(await recoverSecret(corrupt(await contributions(10), 0, 2, 4, 6, 8), 7, isSecret)).toBeUndefined();
    let tries = 0;
    const never = async (): Promise<boolean> => {
      tries += 1;
      return false;
    };
    expect(await recoverSecret(await contributions(100), 67, never)).toBeUndefined();
    expect(tries).toBe(20);
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
