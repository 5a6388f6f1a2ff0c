/**
 * The bodies of secure aggregation, byte by byte (SPEC.md §13.3). Lists whose elements all have one length are their concatenation in
 * roster order; a set of participants is a bit field over the roster, bit i of the field being bit i mod 8 of byte ⌊i/8⌋.
 */
import { concat } from '../bytes.ts';
import { canon, decodeCanon, fixed, list } from '../canon.ts';
import { TacitError } from '../errors.ts';
import { MARK_BYTES } from './marks.ts';
import { SHARE_BYTES } from './shares.ts';

const KEY = 32;
const HASH = 32;
const SIGNATURE = 64;
const MAX_CERTIFICATE = 1024;
/** nacl.box in front: nonce (24) and tag (16). */
export const BOX_OVERHEAD = 40;
/** canon(share, …) around the shares: its prefix, five lengths, session, sender and recipient. */
const SHARE_FRAME = 12 + 5 * 4 + 3 * 32;

/** Length of one box for so many exchanges, with the marks behind it. */
export const boxBytes = (exchanges: number): number =>
  BOX_OVERHEAD + SHARE_FRAME + 2 * exchanges * (SHARE_BYTES + MARK_BYTES);

/** What a participant makes known about itself: an entry of the roster. */
export interface Advertisement {
  /** Raw Ed25519 key. */
  readonly identity: Uint8Array;
  /** X25519 keys of the masks, one for each exchange. */
  readonly maskKeys: readonly Uint8Array[];
  /** X25519 key that shares are boxed to. */
  readonly channelKey: Uint8Array;
  /** Length 0 without one. */
  readonly certificate: Uint8Array;
  /** By `identity` over `advertiseStatement`. */
  readonly signature: Uint8Array;
}

/** Everyone who advertised, sorted by identity, and the coordinator's signature for the recipient's group. */
export interface Roster {
  readonly entries: readonly Advertisement[];
  /** Over `rosterStatement` of the recipient's group. */
  readonly signature: Uint8Array;
}

/** A participant's shares for the others of its group. */
export interface SealedShares {
  /** Commitment to b, one for each exchange. */
  readonly commits: readonly Uint8Array[];
  /** nonce ‖ box ‖ marks, to each other of the group in roster order. */
  readonly boxes: readonly Uint8Array[];
  /** Over `sharesStatement`. */
  readonly signature: Uint8Array;
}

/** What one participant gets of the shares of the others. */
export interface Delivery {
  /** Roster indices of those who shared, ascending. */
  readonly members: readonly number[];
  /** Boxes to the recipient from the other members, in their order. */
  readonly boxes: readonly Uint8Array[];
}

/** Whose boxes a participant cannot open, or whose shares do not fit their marks. */
export interface Complaint {
  readonly dealers: readonly number[];
  /** Over `complaintStatement`. */
  readonly signature: Uint8Array;
}

/** Whose masked words came in. */
export interface Survivors {
  readonly exchange: number;
  readonly members: readonly number[];
  /** Over `survivorsStatement`. */
  readonly signature: Uint8Array;
}

/** A survivor's word that it saw these survivors. */
export interface Agreement {
  readonly exchange: number;
  /** Over `agreeStatement`. */
  readonly signature: Uint8Array;
}

/** The agreements of the survivors, as they are shown to each other. */
export interface Agreements {
  readonly exchange: number;
  readonly members: readonly number[];
  readonly signatures: readonly Uint8Array[];
}

/** What a survivor gives to take the masks off: for each member exactly one share of one of its two secrets. */
export interface Unmasking {
  readonly exchange: number;
  /** Shares of b of the survivors, in roster order; one's own among them, except in a group of 256. Of whom one complained, zeros. */
  readonly selfShares: readonly Uint8Array[];
  /** Shares of the mask keys of those who were lost in this exchange, in roster order. */
  readonly keyShares: readonly Uint8Array[];
}

const malformed = (what: string): TacitError => new TacitError('wire/malformed', `secure aggregation: ${what}`);

/** The fields of a body, as many as there must be. */
function fieldsOf(label: string, bytes: Uint8Array, count: number): Uint8Array[] {
  const fields = decodeCanon(label, bytes);
  if (fields.length !== count) throw malformed(`${fields.length} fields in ${label}`);
  return fields;
}

function sized(label: string, field: Uint8Array | undefined, length: number): Uint8Array {
  if (field?.length !== length) throw malformed(`${field?.length} bytes instead of ${length} in ${label}`);
  return field;
}

/** A field cut into `count` pieces of one length. */
function pieces(label: string, field: Uint8Array | undefined, count: number, length: number): Uint8Array[] {
  const whole = sized(label, field, count * length);
  return Array.from({ length: count }, (_, i) => whole.slice(i * length, (i + 1) * length));
}

/** Indices below `size`, ascending, as a bit field. */
export function encodeSet(members: readonly number[], size: number): Uint8Array<ArrayBuffer> {
  const bits = new Uint8Array(Math.ceil(size / 8));
  for (const i of members) bits[i >> 3]! |= 1 << (i & 7);
  return bits;
}

/** The indices of a bit field, ascending. @throws TacitError wire/malformed on another length or a bit beyond the roster */
export function decodeSet(label: string, field: Uint8Array | undefined, size: number): number[] {
  const bits = sized(label, field, Math.ceil(size / 8));
  const members: number[] = [];
  for (let i = 0; i < 8 * bits.length; i++) if ((bits[i >> 3]! >> (i & 7)) & 1) members.push(i);
  if ((members.at(-1) ?? 0) >= size) throw malformed(`a member beyond the roster in ${label}`);
  return members;
}

function exchangeOf(label: string, field: Uint8Array | undefined): number {
  return sized(label, field, 1)[0]!;
}

export const encodeAdvertisement = (a: Advertisement): Uint8Array =>
  canon(
    'advertisement',
    fixed(KEY, a.identity),
    concat(...a.maskKeys),
    fixed(KEY, a.channelKey),
    a.certificate,
    fixed(SIGNATURE, a.signature),
  );

/** @throws TacitError wire/malformed */
export function decodeAdvertisement(bytes: Uint8Array, exchanges: number): Advertisement {
  const label = 'advertisement';
  const [identity, maskKeys, channelKey, certificate, signature] = fieldsOf(label, bytes, 5);
  if (certificate!.length > MAX_CERTIFICATE) throw malformed(`a certificate of ${certificate!.length} bytes`);
  return {
    identity: sized(label, identity, KEY),
    maskKeys: pieces(label, maskKeys, exchanges, KEY),
    channelKey: sized(label, channelKey, KEY),
    certificate: certificate!,
    signature: sized(label, signature, SIGNATURE),
  };
}

/** canon(Roster): what is hashed into the session's id and into the draw of groups. */
export const encodeEntries = (entries: readonly Advertisement[]): Uint8Array =>
  list('roster', entries.map(encodeAdvertisement));

export const encodeRoster = (roster: Roster): Uint8Array =>
  canon('signed-roster', encodeEntries(roster.entries), fixed(SIGNATURE, roster.signature));

/** @throws TacitError wire/malformed */
export function decodeRoster(bytes: Uint8Array, exchanges: number): Roster {
  const [entries, signature] = fieldsOf('signed-roster', bytes, 2);
  return {
    entries: decodeCanon('roster', entries!).map((entry) => decodeAdvertisement(entry, exchanges)),
    signature: sized('signed-roster', signature, SIGNATURE),
  };
}

export const encodeShares = (shares: SealedShares): Uint8Array =>
  canon('sealed-shares', concat(...shares.commits), concat(...shares.boxes), fixed(SIGNATURE, shares.signature));

/** @param size participants of the group @throws TacitError wire/malformed */
export function decodeShares(bytes: Uint8Array, size: number, exchanges: number): SealedShares {
  const label = 'sealed-shares';
  const [commits, boxes, signature] = fieldsOf(label, bytes, 3);
  return {
    commits: pieces(label, commits, exchanges, HASH),
    boxes: pieces(label, boxes, size - 1, boxBytes(exchanges)),
    signature: sized(label, signature, SIGNATURE),
  };
}

export const encodeDelivery = (delivery: Delivery, size: number): Uint8Array =>
  canon('delivery', encodeSet(delivery.members, size), concat(...delivery.boxes));

/** @throws TacitError wire/malformed */
export function decodeDelivery(bytes: Uint8Array, size: number, exchanges: number): Delivery {
  const label = 'delivery';
  const [set, boxes] = fieldsOf(label, bytes, 2);
  const members = decodeSet(label, set, size);
  return { members, boxes: pieces(label, boxes, Math.max(0, members.length - 1), boxBytes(exchanges)) };
}

export const encodeComplaint = ({ dealers, signature }: Complaint, size: number): Uint8Array =>
  canon('complaint', encodeSet(dealers, size), fixed(SIGNATURE, signature));

/** @throws TacitError wire/malformed */
export function decodeComplaint(bytes: Uint8Array, size: number): Complaint {
  const label = 'complaint';
  const [set, signature] = fieldsOf(label, bytes, 2);
  return { dealers: decodeSet(label, set, size), signature: sized(label, signature, SIGNATURE) };
}

export const encodeSurvivors = (survivors: Survivors, size: number): Uint8Array =>
  canon(
    'signed-survivors',
    Uint8Array.of(survivors.exchange),
    encodeSet(survivors.members, size),
    fixed(SIGNATURE, survivors.signature),
  );

/** @throws TacitError wire/malformed */
export function decodeSurvivors(bytes: Uint8Array, size: number): Survivors {
  const label = 'signed-survivors';
  const [exchange, set, signature] = fieldsOf(label, bytes, 3);
  return {
    exchange: exchangeOf(label, exchange),
    members: decodeSet(label, set, size),
    signature: sized(label, signature, SIGNATURE),
  };
}

export const encodeAgreement = ({ exchange, signature }: Agreement): Uint8Array =>
  canon('agreement', Uint8Array.of(exchange), fixed(SIGNATURE, signature));

/** @throws TacitError wire/malformed */
export function decodeAgreement(bytes: Uint8Array): Agreement {
  const [exchange, signature] = fieldsOf('agreement', bytes, 2);
  return { exchange: exchangeOf('agreement', exchange), signature: sized('agreement', signature, SIGNATURE) };
}

export const encodeAgreements = (agreements: Agreements, size: number): Uint8Array =>
  canon(
    'agreements',
    Uint8Array.of(agreements.exchange),
    encodeSet(agreements.members, size),
    concat(...agreements.signatures),
  );

/** @throws TacitError wire/malformed */
export function decodeAgreements(bytes: Uint8Array, size: number): Agreements {
  const label = 'agreements';
  const [exchange, set, signatures] = fieldsOf(label, bytes, 3);
  const members = decodeSet(label, set, size);
  return {
    exchange: exchangeOf(label, exchange),
    members,
    signatures: pieces(label, signatures, members.length, SIGNATURE),
  };
}

export const encodeUnmasking = ({ exchange, selfShares, keyShares }: Unmasking): Uint8Array =>
  canon('unmasking', Uint8Array.of(exchange), concat(...selfShares), concat(...keyShares));

/** @param counts how many shares of each kind there must be @throws TacitError wire/malformed */
export function decodeUnmasking(bytes: Uint8Array, counts: { readonly self: number; readonly key: number }): Unmasking {
  const label = 'unmasking';
  const [exchange, selfShares, keyShares] = fieldsOf(label, bytes, 3);
  return {
    exchange: exchangeOf(label, exchange),
    selfShares: pieces(label, selfShares, counts.self, SHARE_BYTES),
    keyShares: pieces(label, keyShares, counts.key, SHARE_BYTES),
  };
}
