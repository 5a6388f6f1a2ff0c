/** The secrets of a participant's session, from its fresh keys to the shares that it gives of them (SPEC.md §13.4). */
import { equalBytes } from '../bytes.ts';
import type { KeyPair } from '../crypto/provider.ts';
import { verifyStatement } from '../identity.ts';
import { boxKey, type SharePair, sealShares } from './boxes.ts';
import type { ParticipantOptions } from './contracts.ts';
import { drawGroups } from './groups.ts';
import { type Advertisement, decodeRoster, encodeShares } from './objects.ts';
import { verifyAdvertisement, viewOf } from './roster.ts';
import { checkRoster, DEFAULT_GROUP, floorOf, thresholdOf } from './rules.ts';
import { SECRET_BYTES, splitSecret } from './shares.ts';
import {
  advertiseStatement,
  boxesHashOf,
  commitOf,
  rosterStatement,
  sessionIdOf,
  sharesStatement,
} from './statements.ts';
import type { Vault } from './vault.ts';

/** Another participant of the group, and the secrets shared with it. */
export interface Peer {
  readonly entry: Advertisement;
  /** X25519 of the mask keys, one for each exchange; erased once the exchange is masked. */
  readonly maskSecrets: readonly Uint8Array[];
  /** Erased once its box is open. */
  readonly boxKey: Uint8Array;
  /** Its shares of its secrets for oneself; those of an exchange are erased once it is unmasked. */
  held?: SharePair;
}

/** What a session knows once the roster is in. */
export interface OwnGroup {
  readonly sessionId: Uint8Array;
  readonly entries: readonly Advertisement[];
  readonly self: number;
  /** By roster index; undefined at one's own. */
  readonly peers: readonly (Peer | undefined)[];
  /** b, one for each exchange; erased once the exchange is masked. */
  readonly b: readonly Uint8Array[];
  /** One's own share of each b, kept until it is given; undefined in a group of 256. */
  readonly ownShares: readonly (Uint8Array | undefined)[];
}

/** The key pairs of a session, and what is made known of them. */
export interface OwnKeys {
  readonly mask: readonly KeyPair[];
  readonly channel: KeyPair;
  readonly advertisement: Advertisement;
}

/** Fresh keys: a pair for each exchange and one for the channel. */
export async function makeKeys(options: ParticipantOptions, vault: Vault): Promise<OwnKeys> {
  const { crypto, exchanges, identity, offerHash, certificate } = options;
  const pair = async (): Promise<KeyPair> => {
    const made = await crypto.x25519KeyPair(vault.keep(crypto.randomBytes(SECRET_BYTES)));
    vault.keep(made.secretKey);
    return made;
  };
  const mask = await Promise.all(exchanges.map(pair));
  const channel = await pair();
  const keys = { maskKeys: mask.map(({ publicKey }) => publicKey), channelKey: channel.publicKey };
  const signature = await identity.sign(advertiseStatement(offerHash, keys));
  return { mask, channel, advertisement: { identity: identity.publicKey, ...keys, certificate, signature } };
}

/** One's own group, and the fewest of it that may be left. */
export interface Admitted {
  readonly entries: Advertisement[];
  readonly floor: number;
}

/**
 * One's own group of a roster. Every entry is verified, also those of other groups: the whole roster decides the draw, and with entries
 * that cost nothing a coordinator could try rosters until a group is as it wants it.
 */
export async function admitGroup(options: ParticipantOptions, own: Advertisement, body: Uint8Array): Promise<Admitted> {
  const { crypto, offerHash, exchanges, maxGroup = DEFAULT_GROUP } = options;
  const roster = decodeRoster(body, exchanges.length);
  checkRoster(roster.entries.map(viewOf), viewOf(own), options);
  const groups = await drawGroups(crypto, offerHash, roster.entries, maxGroup);
  const entries = groups.find((group) => group.some(({ identity }) => equalBytes(identity, own.identity)))!;
  const sessionId = await sessionIdOf(crypto, offerHash, entries);
  await verifyStatement(crypto, options.serverKey, rosterStatement(sessionId), roster.signature);
  for (const entry of roster.entries) await verifyAdvertisement(crypto, offerHash, entry, options.checkCertificate);
  return { entries, floor: floorOf(options, roster.entries.length) };
}

/** The secrets shared with each other participant of a group. @throws TacitError auth/bad-key if a key of theirs gives zero */
export async function pairWithAll(
  { crypto }: ParticipantOptions,
  vault: Vault,
  keys: OwnKeys,
  others: readonly Advertisement[],
): Promise<Peer[]> {
  const exchange = async (own: KeyPair, keyOf: (entry: Advertisement) => Uint8Array): Promise<Uint8Array[]> =>
    (await crypto.x25519Each(own.secretKey, others.map(keyOf))).map(vault.keep);
  const channels = await exchange(keys.channel, ({ channelKey }) => channelKey);
  const masks = await Promise.all(keys.mask.map((own, e) => exchange(own, ({ maskKeys }) => maskKeys[e]!)));
  return others.map((entry, i) => ({
    entry,
    maskSecrets: masks.map((ofExchange) => ofExchange[i]!),
    boxKey: vault.keep(boxKey(channels[i]!)),
  }));
}

/** Draws b, splits both secrets of every exchange and boxes the shares. */
export async function shareSecrets(
  { crypto, identity, exchanges }: ParticipantOptions,
  vault: Vault,
  keys: OwnKeys,
  group: Omit<OwnGroup, 'b' | 'ownShares'>,
): Promise<{ b: Uint8Array[]; ownShares: (Uint8Array | undefined)[]; body: Uint8Array }> {
  const { sessionId, entries, self, peers } = group;
  const b = exchanges.map(() => vault.keep(crypto.randomBytes(SECRET_BYTES)));
  const split = async (secret: Uint8Array): Promise<(Uint8Array | undefined)[]> => {
    const shares = await splitSecret(secret, entries.length, self, thresholdOf(entries.length));
    for (const share of shares) if (share) vault.keep(share);
    return shares;
  };
  const keyShares = await Promise.all(keys.mask.map(({ secretKey }) => split(secretKey)));
  const selfShares = await Promise.all(b.map(split));
  const from = identity.publicKey;
  const boxes: Uint8Array[] = [];
  for (const [to, peer] of peers.entries()) {
    if (!peer) continue;
    const pair = { key: keyShares.map((shares) => shares[to]!), self: selfShares.map((shares) => shares[to]!) };
    boxes.push(await sealShares(crypto, peer.boxKey, { sessionId, from, to: peer.entry.identity }, pair));
  }
  const ownShares = selfShares.map((shares) => shares[self]);
  const kept = new Set(ownShares);
  vault.erase([...keyShares, ...selfShares].flat().filter((share) => !kept.has(share)));
  vault.erase(keys.mask.map(({ secretKey }) => secretKey));
  const commits = await Promise.all(b.map((secret) => commitOf(crypto, sessionId, from, secret)));
  const signature = await identity.sign(sharesStatement(sessionId, commits, await boxesHashOf(crypto, boxes)));
  return { b, ownShares, body: encodeShares({ commits, boxes, signature }) };
}
