/**
 * A group of secure aggregation of which one participant is real, from its keys to its last body. The others are what it meets: keys,
 * signatures, shares and boxes of their own, made once for a number of participants. So what a scene costs grows with n, not with n².
 */
import { compareBytes } from '../protocol/bytes.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import type { KeyPair } from '../protocol/crypto/provider.ts';
import { type Identity, identityFromSeed } from '../protocol/identity.ts';
import { boxKey, openShares, sealShares } from '../protocol/secagg/boxes.ts';
import {
  type Advertisement,
  decodeAdvertisement,
  decodeShares,
  decodeUnmasking,
  encodeAgreements,
  encodeDelivery,
  encodeRoster,
  encodeSurvivors,
  type SealedShares,
  type Unmasking,
} from '../protocol/secagg/objects.ts';
import { openSession } from '../protocol/secagg/participant.ts';
import { thresholdOf } from '../protocol/secagg/rules.ts';
import { splitSecret } from '../protocol/secagg/shares.ts';
import {
  advertiseStatement,
  agreeStatement,
  commitOf,
  rosterStatement,
  sessionIdOf,
  survivorsHashOf,
  survivorsStatement,
} from '../protocol/secagg/statements.ts';

/** Stands for the hashes of offer, plan and model. */
export const HASH = new Uint8Array(32).fill(1);

/** Another participant, with its secrets and their shares by roster index. */
export interface Peer {
  readonly identity: Identity;
  readonly mask: KeyPair;
  readonly channel: KeyPair;
  readonly b: Uint8Array;
  readonly entry: Advertisement;
  readonly keyShares: readonly Uint8Array[];
  readonly selfShares: readonly Uint8Array[];
}

/** The participants of a benchmark; the real one has its keys anew in each scene. */
export interface Cast {
  readonly size: number;
  readonly coordinator: Identity;
  readonly identity: Identity;
  /** Roster index of the real one. */
  readonly self: number;
  /** By roster index; undefined at the real one's. */
  readonly peers: readonly (Peer | undefined)[];
}

const freshIdentity = (): Promise<Identity> => identityFromSeed(nodeCrypto, nodeCrypto.randomBytes(32));

async function makePeer(identity: Identity, size: number, v: number): Promise<Peer> {
  const [mask, channel] = [await nodeCrypto.x25519KeyPair(), await nodeCrypto.x25519KeyPair()];
  const keys = { maskKeys: [mask.publicKey], channelKey: channel.publicKey };
  const signature = await identity.sign(advertiseStatement(HASH, keys));
  const entry = { identity: identity.publicKey, ...keys, certificate: new Uint8Array(0), signature };
  const b = nodeCrypto.randomBytes(32);
  const split = async (secret: Uint8Array) => (await splitSecret(secret, size, v, thresholdOf(size))) as Uint8Array[];
  return { identity, mask, channel, b, entry, keyShares: await split(mask.secretKey), selfShares: await split(b) };
}

/** @param size participants, at most 255 */
export async function makeCast(size: number): Promise<Cast> {
  const coordinator = await freshIdentity();
  const identities = await Promise.all(Array.from({ length: size }, freshIdentity));
  identities.sort((a, b) => compareBytes(a.publicKey, b.publicKey));
  const self = size >> 1;
  const peers: (Peer | undefined)[] = [];
  for (const [v, identity] of identities.entries()) {
    peers.push(v === self ? undefined : await makePeer(identity, size, v));
  }
  return { size, coordinator, identity: identities[self]!, self, peers };
}

/** What came of a scene. */
export interface Scene {
  readonly sessionId: Uint8Array;
  readonly entries: readonly Advertisement[];
  readonly survivors: readonly number[];
  /** Commitments to b and answers of the survivors, by roster index. Boxes with marks are those of the real one only: nobody lies. */
  readonly shares: ReadonlyMap<number, Pick<SealedShares, 'commits' | 'boxes'>>;
  readonly answers: ReadonlyMap<number, Unmasking>;
  /** The masked words of the real participant. */
  readonly masked: Int32Array;
  readonly maskMs: number;
  /** By the real participant, bodies and masked words. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** Boxes to the real participant from all others, in roster order. */
async function boxesFrom(cast: Cast, own: Advertisement, sessionId: Uint8Array): Promise<Uint8Array[]> {
  const boxes: Uint8Array[] = [];
  for (const peer of cast.peers) {
    if (!peer) continue;
    const shared = await nodeCrypto.x25519(peer.channel.secretKey, own.channelKey);
    const route = { sessionId, from: peer.entry.identity, to: own.identity };
    const shares = { key: [peer.keyShares[cast.self]!], self: [peer.selfShares[cast.self]!] };
    boxes.push(await sealShares(nodeCrypto, boxKey(shared), route, shares));
  }
  return boxes;
}

/** What all survivors give to open the sum: the others from their shares, among them the ones boxed by the real participant. */
async function answersOf(
  { peers, self, size }: Cast,
  own: Advertisement,
  sessionId: Uint8Array,
  survivors: readonly number[],
  bodies: { readonly shares: Uint8Array; readonly unmasking: Uint8Array },
): Promise<Map<number, Unmasking>> {
  const boxes = decodeShares(bodies.shares, size, 1).boxes;
  const lost = peers.flatMap((_, v) => (survivors.includes(v) ? [] : [v]));
  const answers = new Map<number, Unmasking>();
  for (const v of survivors) {
    const peer = peers[v];
    if (!peer) {
      answers.set(v, decodeUnmasking(bodies.unmasking, { self: survivors.length, key: lost.length }));
      continue;
    }
    const shared = await nodeCrypto.x25519(peer.channel.secretKey, own.channelKey);
    const route = { sessionId, from: own.identity, to: peer.entry.identity };
    const held = await openShares(nodeCrypto, boxKey(shared), route, boxes[v < self ? v : v - 1]!, 1);
    const ofReal = held.self[0]!;
    const selfShares = survivors.map((u) => peers[u]?.selfShares[v] ?? ofReal);
    answers.set(v, { exchange: 0, selfShares, keyShares: lost.map((u) => peers[u]!.keyShares[v]!) });
  }
  return answers;
}

/** Plays one scene; `words` are the real participant's, masked in place. @param lost how many vanish before they send masked words */
export async function playScene(cast: Cast, lost: number, words: Int32Array): Promise<Scene> {
  const { size, coordinator, identity, self, peers } = cast;
  const session = openSession({
    ...{ offerHash: HASH, planHash: HASH, modelHash: HASH, exchanges: [words.length], certificate: new Uint8Array(0) },
    ...{ crypto: nodeCrypto, identity, serverKey: coordinator.publicKey },
    ...{ minCohort: 4, policyMinCohort: 3, maxCohort: 256, maxGroup: 256 },
  });
  let [bytesSent, bytesReceived] = [4 * words.length, 0];
  const up = (body: Uint8Array): Uint8Array => {
    bytesSent += body.length;
    return body;
  };
  const down = (body: Uint8Array): Uint8Array => {
    bytesReceived += body.length;
    return body;
  };
  const own = decodeAdvertisement(up(await session.advertise()), 1);
  const entries = peers.map((peer) => peer?.entry ?? own);
  const sessionId = await sessionIdOf(nodeCrypto, HASH, entries);
  const rosterSignature = await coordinator.sign(rosterStatement(sessionId));
  const shares = up(await session.share(down(encodeRoster({ entries, signature: rosterSignature }))));
  const members = entries.map((_, v) => v);
  const boxes = await boxesFrom(cast, own, sessionId);
  await session.receive(down(encodeDelivery({ members, boxes }, size)));

  const start = performance.now();
  await session.mask(0, words);
  const maskMs = performance.now() - start;

  const gone = new Set(
    members
      .filter((v) => v !== self)
      .filter((_, i) => i % Math.floor((size - 1) / Math.max(1, lost)) === 0)
      .slice(0, lost),
  );
  const survivors = members.filter((v) => !gone.has(v));
  const hash = await survivorsHashOf(
    nodeCrypto,
    survivors.map((v) => entries[v]!.identity),
  );
  const signature = await coordinator.sign(survivorsStatement(sessionId, 0, hash));
  up(await session.agree(down(encodeSurvivors({ exchange: 0, members: survivors, signature }, size))));
  const statement = agreeStatement(sessionId, 0, hash);
  const signatures = await Promise.all(survivors.map((v) => (peers[v]?.identity ?? identity).sign(statement)));
  const agreements = encodeAgreements({ exchange: 0, members: survivors, signatures }, size);
  const unmasking = up(await session.unmask(down(agreements)));

  const sent = new Map<number, Pick<SealedShares, 'commits' | 'boxes'>>([[self, decodeShares(shares, size, 1)]]);
  for (const [v, peer] of peers.entries()) {
    if (peer) sent.set(v, { commits: [await commitOf(nodeCrypto, sessionId, peer.entry.identity, peer.b)], boxes: [] });
  }
  const answers = await answersOf(cast, own, sessionId, survivors, { shares, unmasking });
  return { sessionId, entries, survivors, shares: sent, answers, masked: words, maskMs, bytesSent, bytesReceived };
}
