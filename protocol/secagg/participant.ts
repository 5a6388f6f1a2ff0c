/**
 * The participant's half of secure aggregation (SPEC.md §13): performs with cryptography what participant-state.ts decides. Steps run one
 * after the other; the first error ends the session and erases its secrets, so that no later message can draw anything from it. The
 * same body again has the same answer as before, for a connection that broke while an answer was under way.
 */
import { asBytes, equalBytes } from '../bytes.ts';
import type { Mask } from '../crypto/masks.ts';
import type { KeyPair } from '../crypto/provider.ts';
import { TacitError } from '../errors.ts';
import { participantId, verifyStatement } from '../identity.ts';
import { boxKey, openShares, type SharePair, sealShares } from './boxes.ts';
import type { ParticipantOptions, ParticipantSession } from './contracts.ts';
import { drawGroups } from './groups.ts';
import { maskKey } from './masks.ts';
import {
  type Advertisement,
  decodeAgreements,
  decodeDelivery,
  decodeRoster,
  decodeSurvivors,
  encodeAdvertisement,
  encodeAgreement,
  encodeShares,
  encodeUnmasking,
} from './objects.ts';
import { advance, type ParticipantEvent, type ParticipantState } from './participant-state.ts';
import { verifyAdvertisement, viewOf } from './roster.ts';
import { checkRoster, checkTerms, DEFAULT_GROUP, floorOf, type Reveal, thresholdOf } from './rules.ts';
import { SECRET_BYTES, splitSecret } from './shares.ts';
import {
  advertiseStatement,
  agreeStatement,
  boxesHashOf,
  commitOf,
  pairInfo,
  rosterStatement,
  selfInfo,
  sessionIdOf,
  sharesStatement,
  survivorsHashOf,
  survivorsStatement,
} from './statements.ts';
import { createVault, type Vault } from './vault.ts';

/** Another participant of the group, and the secrets shared with it. */
interface Peer {
  readonly entry: Advertisement;
  /** X25519 of the mask keys, one for each exchange; erased once the exchange is masked. */
  readonly maskSecrets: readonly Uint8Array[];
  /** Erased once its box is open. */
  readonly boxKey: Uint8Array;
  /** Its shares of its secrets for oneself; those of an exchange are erased once it is unmasked. */
  held?: SharePair;
}

/** What a session knows once the roster is in. */
interface Group {
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

interface OwnKeys {
  readonly mask: readonly KeyPair[];
  readonly channel: KeyPair;
  readonly advertisement: Advertisement;
}

async function makeKeys(options: ParticipantOptions, vault: Vault): Promise<OwnKeys> {
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

/** One's own group of a roster, every entry of it verified. What is elsewhere in the roster decides the draw only. */
async function admitGroup(options: ParticipantOptions, own: Advertisement, body: Uint8Array): Promise<Advertisement[]> {
  const { crypto, offerHash, exchanges, maxGroup = DEFAULT_GROUP } = options;
  const roster = decodeRoster(body, exchanges.length);
  checkRoster(roster.entries.map(viewOf), viewOf(own), options);
  const groups = await drawGroups(crypto, offerHash, roster.entries, maxGroup);
  const entries = groups.find((group) => group.some(({ identity }) => equalBytes(identity, own.identity)))!;
  const sessionId = await sessionIdOf(crypto, offerHash, entries);
  await verifyStatement(crypto, options.serverKey, rosterStatement(sessionId), roster.signature);
  for (const entry of entries) await verifyAdvertisement(crypto, offerHash, entry, options.checkCertificate);
  return entries;
}

/** The secrets shared with another participant. @throws TacitError auth/bad-key if a key of its gives zero */
async function pairWith(
  { crypto }: ParticipantOptions,
  vault: Vault,
  keys: OwnKeys,
  entry: Advertisement,
): Promise<Peer> {
  const maskSecrets = await Promise.all(
    keys.mask.map(async ({ secretKey }, e) => vault.keep(await crypto.x25519(secretKey, entry.maskKeys[e]!))),
  );
  const channel = vault.keep(await crypto.x25519(keys.channel.secretKey, entry.channelKey));
  return { entry, maskSecrets, boxKey: vault.keep(boxKey(channel)) };
}

/** Draws b, splits both secrets of every exchange and boxes the shares. */
async function shareSecrets(
  { crypto, identity, exchanges }: ParticipantOptions,
  vault: Vault,
  keys: OwnKeys,
  group: Omit<Group, 'b' | 'ownShares'>,
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
  const boxes = peers.flatMap((peer, to) => {
    if (!peer) return [];
    const pair = { key: keyShares.map((shares) => shares[to]!), self: selfShares.map((shares) => shares[to]!) };
    return [sealShares(crypto, peer.boxKey, { sessionId, from, to: peer.entry.identity }, pair)];
  });
  const ownShares = selfShares.map((shares) => shares[self]);
  const kept = new Set(ownShares);
  vault.erase([...keyShares, ...selfShares].flat().filter((share) => !kept.has(share)));
  vault.erase(keys.mask.map(({ secretKey }) => secretKey));
  const commits = await Promise.all(b.map((secret) => commitOf(crypto, sessionId, from, secret)));
  const signature = await identity.sign(sharesStatement(sessionId, commits, await boxesHashOf(crypto, boxes)));
  return { b, ownShares, body: encodeShares({ commits, boxes, signature }) };
}

const over = (): TacitError => new TacitError('wire/unexpected', 'the secure aggregation session is over');

/** Opens a session. @throws TacitError plan/refused if no session can hold under these terms */
export function openSession(options: ParticipantOptions): ParticipantSession {
  const { crypto, identity, exchanges, planHash, modelHash, serverKey } = options;
  checkTerms(options, exchanges);
  const vault = createVault();
  const answers = new Map<string, { readonly input: Uint8Array; readonly output: Uint8Array }>();
  let state: ParticipantState = { phase: 'opened' };
  let keys: OwnKeys | undefined;
  let group: Group | undefined;
  let tail: Promise<unknown> = Promise.resolve();

  const wipe = (): void => {
    if (state.phase !== 'finished') state = { phase: 'failed' };
    vault.wipe();
    answers.clear();
  };
  const take = (event: ParticipantEvent): Reveal | undefined => {
    const next = advance(state, event, exchanges.length);
    state = next.state;
    return next.reveal;
  };
  /** Runs a step after those before it; its result counts only if nobody wiped the session meanwhile. */
  const step = <T>(run: () => Promise<T>): Promise<T> => {
    const result = tail.then(async () => {
      if (state.phase === 'failed') throw over();
      try {
        const value = await run();
        if ((state as ParticipantState).phase === 'failed') throw over();
        return value;
      } catch (thrown) {
        if (state.phase !== 'finished') wipe();
        throw thrown;
      }
    });
    tail = result.catch(() => {});
    return result;
  };
  /** A step that answers a body; the same body again has the same answer. */
  const answer = (name: string, input: Uint8Array, run: () => Promise<Uint8Array>): Promise<Uint8Array> =>
    step(async () => {
      const before = answers.get(name);
      if (before && equalBytes(before.input, input)) return before.output;
      const output = await run();
      answers.set(name, { input: input.slice(), output });
      return output;
    });
  const inGroup = (): Group => {
    if (!group) throw new TacitError('wire/unexpected', 'there is no roster yet');
    return group;
  };
  const survivorsHash = (survivors: readonly number[]): Promise<Uint8Array> =>
    survivorsHashOf(
      crypto,
      survivors.map((v) => inGroup().entries[v]!.identity),
    );

  const share = async (body: Uint8Array): Promise<Uint8Array> => {
    if (state.phase !== 'advertised' || !keys) throw new TacitError('wire/unexpected', 'a roster out of order');
    const own = keys.advertisement;
    const entries = await admitGroup(options, own, body);
    const self = entries.findIndex((entry) => equalBytes(entry.identity, own.identity));
    const sessionId = await sessionIdOf(crypto, options.offerHash, entries);
    const peers: (Peer | undefined)[] = [];
    for (const [i, entry] of entries.entries()) {
      peers.push(i === self ? undefined : await pairWith(options, vault, keys, entry));
    }
    take({ type: 'roster', group: { size: entries.length, self, floor: floorOf(options) } });
    const base = { sessionId, entries, self, peers };
    const shared = await shareSecrets(options, vault, keys, base);
    group = { ...base, b: shared.b, ownShares: shared.ownShares };
    return shared.body;
  };

  const receive = async (body: Uint8Array): Promise<Uint8Array> => {
    const { sessionId, entries, self, peers } = inGroup();
    const { members, boxes } = decodeDelivery(body, entries.length, exchanges.length);
    take({ type: 'delivery', members });
    const others = members.filter((v) => v !== self);
    for (const [i, v] of others.entries()) {
      const peer = peers[v]!;
      const route = { sessionId, from: peer.entry.identity, to: identity.publicKey };
      peer.held = openShares(peer.boxKey, route, boxes[i]!, exchanges.length);
      for (const secret of [...peer.held.key, ...peer.held.self]) vault.keep(secret);
    }
    vault.erase(peers.map((peer) => peer?.boxKey));
    if (keys) vault.erase([keys.channel.secretKey]);
    return new Uint8Array(0);
  };

  const mask = async (exchange: number, words: Int32Array, startHash: Uint8Array): Promise<Uint8Array> => {
    const { sessionId, self, peers, b } = inGroup();
    if (words.length !== exchanges[exchange]) throw new RangeError(`${words.length} words in exchange ${exchange}`);
    if (state.phase !== 'ready') throw new TacitError('wire/unexpected', `masking while the session is ${state.phase}`);
    const { members } = state;
    take({ type: 'mask', exchange });
    const context = { sessionId, startHash, planHash, exchange };
    const own = identity.publicKey;
    const derive = (secret: Uint8Array, info: Uint8Array): Promise<Uint8Array> =>
      maskKey(crypto, secret, info).then((key) => vault.keep(key));
    const masks: Mask[] = [{ key: await derive(b[exchange]!, selfInfo(context, own)), sign: 1 }];
    for (const v of members) {
      const peer = peers[v];
      if (!peer) continue;
      const other = peer.entry.identity;
      const info = self < v ? pairInfo(context, own, other) : pairInfo(context, other, own);
      masks.push({ key: await derive(peer.maskSecrets[exchange]!, info), sign: self < v ? 1 : -1 });
    }
    await crypto.applyMasks(words, masks);
    vault.erase(masks.map(({ key }) => key));
    vault.erase([b[exchange], ...peers.map((peer) => peer?.maskSecrets[exchange])]);
    return asBytes(words);
  };

  const agree = async (body: Uint8Array): Promise<Uint8Array> => {
    const { sessionId, entries } = inGroup();
    const { exchange, members, signature } = decodeSurvivors(body, entries.length);
    const hash = await survivorsHash(members);
    await verifyStatement(crypto, serverKey, survivorsStatement(sessionId, exchange, hash), signature);
    take({ type: 'survivors', exchange, survivors: members });
    return encodeAgreement({ exchange, signature: await identity.sign(agreeStatement(sessionId, exchange, hash)) });
  };

  const unmask = async (body: Uint8Array): Promise<Uint8Array> => {
    const { sessionId, entries, self, peers, ownShares } = inGroup();
    if (state.phase !== 'agreed') throw new TacitError('wire/unexpected', 'agreements out of order');
    const { exchange, members, signatures } = decodeAgreements(body, entries.length);
    const statement = agreeStatement(sessionId, exchange, await survivorsHash(state.survivors));
    for (const [i, v] of members.entries()) {
      await verifyStatement(crypto, entries[v]!.identity, statement, signatures[i]!);
    }
    if ((state as ParticipantState).phase === 'failed') throw over(); // wiped meanwhile: there is nothing left to give
    const reveal = take({ type: 'agreements', exchange, agreed: members })!;
    const selfShares = reveal.self.map((v) => (v === self ? ownShares[exchange] : peers[v]!.held!.self[exchange]));
    const keyShares = reveal.key.map((v) => peers[v]!.held!.key[exchange]!);
    const given = selfShares.filter((one) => one !== undefined);
    const output = encodeUnmasking({ exchange, selfShares: given, keyShares });
    if ((state as ParticipantState).phase === 'finished') vault.wipe();
    else vault.erase(peers.flatMap((peer) => [peer?.held?.self[exchange], peer?.held?.key[exchange]]));
    return output;
  };

  return {
    advertise: () =>
      answer('advertise', new Uint8Array(0), async () => {
        take({ type: 'advertise' });
        keys = await makeKeys(options, vault);
        return encodeAdvertisement(keys.advertisement);
      }),
    share: (roster) => answer('share', roster, () => share(roster)),
    receive: async (delivery) => void (await answer('receive', delivery, () => receive(delivery))),
    mask: (exchange, words, startHash = modelHash) => step(() => mask(exchange, words, startHash)),
    agree: (survivors) => answer('agree', survivors, () => agree(survivors)),
    unmask: (agreements) => answer('unmask', agreements, () => unmask(agreements)),
    wipe,
    get sessionId() {
      return group?.sessionId;
    },
    get group() {
      return group?.entries.map(({ identity: key }) => participantId(key)) ?? [];
    },
    get phase() {
      return state.phase;
    },
  };
}
