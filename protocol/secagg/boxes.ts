/**
 * The boxes in which shares travel through the coordinator: nacl.box, bound inside to session, sender and recipient (SPEC.md §13.4). Its key
 * is HSalsa20 of the curve's shared value, which the platform computes ten times faster than tweetnacl.
 */
import nacl from 'tweetnacl';
import { concat, equalBytes, utf8 } from '../bytes.ts';
import { canon, decodeCanon, fixed } from '../canon.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { TacitError } from '../errors.ts';
import { MARK_BYTES, marksOf } from './marks.ts';
import { SHARE_BYTES } from './shares.ts';

const NONCE_BYTES = 24;
const SIGMA = utf8('expand 32-byte k');
const ZEROS = new Uint8Array(16);

/** tweetnacl's types leave this out. */
const { crypto_core_hsalsa20: hsalsa20 } = (
  nacl as unknown as {
    lowlevel: {
      crypto_core_hsalsa20(out: Uint8Array, input: Uint8Array, key: Uint8Array, constants: Uint8Array): number;
    };
  }
).lowlevel;

/** What `nacl.box.before` gives for a shared value: X25519 of one's secret and the other's key. */
export function boxKey(shared: Uint8Array): Uint8Array {
  const key = new Uint8Array(32);
  hsalsa20(key, ZEROS, shared, SIGMA);
  return key;
}

/** Whose shares are in a box, and for whom. */
export interface Route {
  readonly sessionId: Uint8Array;
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

/** A share of each of the sender's secrets, one of each for each exchange. */
export interface SharePair {
  /** Shares of the mask keys. */
  readonly key: readonly Uint8Array[];
  /** Shares of b. */
  readonly self: readonly Uint8Array[];
}

/** nonce ‖ box ‖ marks. @param key `boxKey` */
export async function sealShares(
  crypto: CryptoProvider,
  key: Uint8Array,
  route: Route,
  shares: SharePair,
): Promise<Uint8Array> {
  const { sessionId, from, to } = route;
  const inside = canon(
    'share',
    fixed(32, sessionId),
    fixed(32, from),
    fixed(32, to),
    concat(...shares.key),
    concat(...shares.self),
  );
  const nonce = crypto.randomBytes(NONCE_BYTES);
  const box = nacl.box.after(inside, nonce, key);
  inside.fill(0);
  return concat(nonce, box, await marksOf(crypto, route, shares));
}

const bad = (what: string, cause?: unknown): TacitError =>
  new TacitError('secagg/bad-share', `a box of shares ${what}`, { cause });

const cut = (field: Uint8Array, exchanges: number): Uint8Array[] =>
  Array.from({ length: exchanges }, (_, e) => field.slice(e * SHARE_BYTES, (e + 1) * SHARE_BYTES));

/** @throws TacitError secagg/bad-share unless it is a box of this sender to this recipient in this session, of shares that fit their marks */
export async function openShares(
  crypto: CryptoProvider,
  key: Uint8Array,
  route: Route,
  sealed: Uint8Array,
  exchanges: number,
): Promise<SharePair> {
  const end = sealed.length - 2 * exchanges * MARK_BYTES;
  const inside = nacl.box.open.after(sealed.subarray(NONCE_BYTES, end), sealed.subarray(0, NONCE_BYTES), key);
  if (!inside) throw bad('cannot be opened');
  let shares: SharePair;
  try {
    shares = readShares(inside, route, exchanges);
  } finally {
    inside.fill(0);
  }
  if (equalBytes(await marksOf(crypto, route, shares), sealed.subarray(end))) return shares;
  for (const share of [...shares.key, ...shares.self]) share.fill(0);
  throw bad('holds others than were marked');
}

function readShares(inside: Uint8Array, route: Route, exchanges: number): SharePair {
  let fields: Uint8Array[];
  try {
    fields = decodeCanon('share', inside);
  } catch (cause) {
    throw bad('is not well formed', cause);
  }
  try {
    const [sessionId, from, to, keyShares, selfShares] = fields;
    const known = fields.length === 5 && keyShares?.length === selfShares?.length;
    if (!known || keyShares?.length !== exchanges * SHARE_BYTES) throw bad('is not well formed');
    const [s, f, t] = [sessionId!, from!, to!];
    if (!(equalBytes(s, route.sessionId) && equalBytes(f, route.from) && equalBytes(t, route.to))) {
      throw bad('is for another session, sender or recipient');
    }
    return { key: cut(keyShares, exchanges), self: cut(selfShares!, exchanges) };
  } finally {
    for (const field of fields) field.fill(0);
  }
}
