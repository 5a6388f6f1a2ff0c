/**
 * What keys and signatures must look like before any provider sees them (SPEC.md §4.4): libraries differ in what they let
 * through (S + L, small-order keys, encodings above the prime), and two participants must never disagree on a signature.
 */
import { equalBytes, fromHex } from '../bytes.ts';
import { TacitError } from '../errors.ts';

/** Little-endian comparison: a < b, both of the same length. */
function below(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = a.length - 1; i >= 0; i--) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}

/** 2²⁵⁵ − 19. */
const PRIME = fromHex(`ed${'ff'.repeat(30)}7f`);
/** Order of the Ed25519 base point, 2²⁵² + 27742317777372353535851937790883648493. */
const ORDER = fromHex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010');

/** u-coordinates of small order: 0, 1, two of order 8, p − 1. (p and p + 1 are not canonical.) */
const SMALL_X25519: readonly Uint8Array[] = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
].map(fromHex);

/** The y-coordinates of the eight points of small order, sign bit cleared: order 1, 2, 4 (both signs), 8 (2 × both signs). */
const SMALL_ED25519: readonly Uint8Array[] = [
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '00'.repeat(32),
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map(fromHex);

/** The points with x = 0 (y = ±1) have one canonical sign bit, 0. */
const X_IS_ZERO = SMALL_ED25519.slice(0, 2);

/** @throws TacitError auth/bad-key unless the key is 32 bytes, canonical (below 2²⁵⁵ − 19, top bit clear) and not of small order */
export function checkX25519Key(publicKey: Uint8Array): void {
  const good =
    publicKey.length === 32 && below(publicKey, PRIME) && !SMALL_X25519.some((bad) => equalBytes(bad, publicKey));
  if (!good) throw new TacitError('auth/bad-key', 'not a usable X25519 public key');
}

/** @throws TacitError auth/bad-key if a shared value is zero, which a key of small order forces */
export function checkShared<T extends Uint8Array>(shared: T): T {
  if (shared.every((byte) => byte === 0)) throw new TacitError('auth/bad-key', 'the key exchange gives zero');
  return shared;
}

/** All shared values or none: those that were made are erased when one cannot be. */
export async function allShared(
  exchanges: readonly Promise<Uint8Array<ArrayBuffer>>[],
): Promise<Uint8Array<ArrayBuffer>[]> {
  const settled = await Promise.allSettled(exchanges);
  const made = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = settled.find((one) => one.status === 'rejected');
  if (!failed) return made;
  for (const shared of made) shared.fill(0);
  throw failed.reason;
}

function withoutSign(point: Uint8Array): Uint8Array {
  const y = point.slice();
  y[31]! &= 0x7f;
  return y;
}

function isCanonicalPoint(point: Uint8Array): boolean {
  if (point.length !== 32) return false;
  const y = withoutSign(point);
  const negativeZero = y[31] !== point[31] && X_IS_ZERO.some((known) => equalBytes(known, y));
  return below(y, PRIME) && !negativeZero;
}

/** Whether an Ed25519 public key is canonical and of large order; whether it lies on the curve, verification finds out. */
export const isUsableEd25519Key = (publicKey: Uint8Array): boolean =>
  isCanonicalPoint(publicKey) && !SMALL_ED25519.some((y) => equalBytes(y, withoutSign(publicKey)));

/** Whether a signature R ‖ S has a canonical R and S < L. */
export const isCanonicalSignature = (signature: Uint8Array): boolean =>
  signature.length === 64 && isCanonicalPoint(signature.subarray(0, 32)) && below(signature.subarray(32), ORDER);
