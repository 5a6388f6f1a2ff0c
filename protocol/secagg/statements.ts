/** What is signed and hashed in secure aggregation (SPEC.md §13.2). Every signature is pure Ed25519 over these bytes. */
import { concat } from '../bytes.ts';
import { canon, fixed, u8 } from '../canon.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { type Advertisement, encodeEntries, encodeSet } from './objects.ts';

const hash = (bytes: Uint8Array): Uint8Array => fixed(32, bytes);

/** Signed by the participant in `advertisement`. */
export const advertiseStatement = (
  offerHash: Uint8Array,
  { maskKeys, channelKey }: Pick<Advertisement, 'maskKeys' | 'channelKey'>,
): Uint8Array => canon('advertise', hash(offerHash), concat(...maskKeys), fixed(32, channelKey));

/** Signed by the coordinator in `roster`, for the group of the recipient. */
export const rosterStatement = (sessionId: Uint8Array): Uint8Array => canon('roster-srv', hash(sessionId));

/** Signed by the participant in `sealed-shares`. @param boxesHash `boxesHashOf` */
export const sharesStatement = (
  sessionId: Uint8Array,
  commits: readonly Uint8Array[],
  boxesHash: Uint8Array,
): Uint8Array => canon('shares', hash(sessionId), concat(...commits), hash(boxesHash));

/** Signed by the participant in `complaint`. */
export const complaintStatement = (sessionId: Uint8Array, dealers: readonly number[], size: number): Uint8Array =>
  canon('complaint', hash(sessionId), encodeSet(dealers, size));

/** Signed by the coordinator in `survivors`. */
export const survivorsStatement = (sessionId: Uint8Array, exchange: number, survivorsHash: Uint8Array): Uint8Array =>
  canon('survivors-srv', hash(sessionId), u8(exchange), hash(survivorsHash));

/** Signed by a survivor in `agreement`. */
export const agreeStatement = (sessionId: Uint8Array, exchange: number, survivorsHash: Uint8Array): Uint8Array =>
  canon('u3', hash(sessionId), u8(exchange), hash(survivorsHash));

/** The id of the session of one group: everything in it is bound to the offer and to every key of the roster. */
export const sessionIdOf = (
  crypto: CryptoProvider,
  offerHash: Uint8Array,
  group: readonly Advertisement[],
): Promise<Uint8Array> => crypto.sha256(canon('session', hash(offerHash), encodeEntries(group)));

export const boxesHashOf = (crypto: CryptoProvider, boxes: readonly Uint8Array[]): Promise<Uint8Array> =>
  crypto.sha256(canon('boxes', concat(...boxes)));

/** @param identities raw keys of the survivors in roster order */
export const survivorsHashOf = (crypto: CryptoProvider, identities: readonly Uint8Array[]): Promise<Uint8Array> =>
  crypto.sha256(canon('survivors', ...identities));

/** What a participant commits to before it masks with b. */
export const commitOf = (
  crypto: CryptoProvider,
  sessionId: Uint8Array,
  identity: Uint8Array,
  b: Uint8Array,
): Promise<Uint8Array> => crypto.sha256(canon('b', hash(sessionId), fixed(32, identity), fixed(32, b)));

/**
 * What an exchange started from: the model's hash when it is all that was downloaded, else a hash over those of all its blobs in
 * order, so that a coordinator that shows different blobs to different participants gets noise.
 */
export async function startHashOf(crypto: CryptoProvider, blobs: readonly Uint8Array[]): Promise<Uint8Array> {
  const [only] = blobs;
  if (blobs.length === 1 && only) return hash(only);
  return crypto.sha256(canon('start', ...blobs.map(hash)));
}

/** What the key of a mask is derived for. */
export interface MaskContext {
  readonly sessionId: Uint8Array;
  readonly startHash: Uint8Array;
  readonly planHash: Uint8Array;
  readonly exchange: number;
}

/** Info of the key of the mask between two participants. @param low the lesser identity @param high the greater */
export const pairInfo = (context: MaskContext, low: Uint8Array, high: Uint8Array): Uint8Array =>
  canon('pair', ...contextFields(context), fixed(32, low), fixed(32, high));

/** Info of the key of a participant's own mask. */
export const selfInfo = (context: MaskContext, identity: Uint8Array): Uint8Array =>
  canon('self', ...contextFields(context), fixed(32, identity));

const contextFields = ({ sessionId, startHash, planHash, exchange }: MaskContext): Uint8Array[] => [
  hash(sessionId),
  hash(startHash),
  hash(planHash),
  u8(exchange),
];
