/**
 * A coordinator that does what a test tells it, over the in-memory transport with real keys and signatures: it keeps to the
 * protocol where `mischief` does not say otherwise, and writes down what it was asked.
 */
import { modelOf } from '../../../learning/model.ts';
import { toHex, utf8 } from '../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { asTacitError, TacitError } from '../../../protocol/errors.ts';
import {
  aggregatorStatement,
  authStatement,
  commitStatement,
  exchangeStatement,
  fingerprintOf,
  finishedStatement,
  GENESIS_HEAD,
  type Handshake,
  headAfter,
  type Identity,
  identityFromSeed,
  offerHashOf,
  offerStatement,
  participantId,
  planStatement,
  verifyStatement,
  welcomeStatement,
} from '../../../protocol/identity.ts';
import { memoryListener } from '../../../protocol/memory-transport.ts';
import type { BlobRef, ClientMessage, CommitRecord, Offer, ServerMessage } from '../../../protocol/messages.ts';
import { type CoordinatorPeer, coordinatorPeer } from '../../../protocol/peer.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { suitesOf } from '../../../protocol/plan-privacy.ts';
import { encodeSafetensors } from '../../../protocol/safetensors.ts';
import { suiteNamed } from '../../../protocol/sealing/suites.ts';
import { BROADCAST, exchangesOf, wordsOf } from '../../../protocol/sections.ts';
import type { NamedArrays } from '../../../protocol/tensors.ts';
import { createBlobShelf, createUploadDesk, type ReceivedReport } from '../../../protocol/transfer.ts';

/** What may be changed before it is sent, or done instead of answering; returning nothing sends nothing. */
export interface Mischief {
  readonly reply?: (reply: ServerMessage, request: ClientMessage) => ServerMessage | undefined;
  /** Called before a request is served; what it throws is answered. */
  readonly before?: (request: ClientMessage) => void;
  /** Bytes of the plan that are served instead of those that were signed. */
  readonly servedPlan?: Uint8Array;
}

export interface FakeReport {
  readonly participant: string;
  readonly offerHash: string;
  readonly exchange: number;
  readonly words: Int32Array;
}

export type FakeCoordinator = Awaited<ReturnType<typeof fakeCoordinator>>;

const nonce = (): Uint8Array => nodeCrypto.randomBytes(32);

export async function fakeCoordinator(plan: Plan, mischief: Mischief = {}, seed = nodeCrypto.randomBytes(32)) {
  const crypto = nodeCrypto;
  const identity: Identity = await identityFromSeed(crypto, seed);
  const aggregator = await crypto.x25519KeyPair();
  const planBytes = utf8(JSON.stringify(plan));
  const planHash = await crypto.sha256(planBytes);
  const shelf = createBlobShelf(crypto);
  const desk = createUploadDesk({ crypto, maxBytes: 2 ** 26 });
  const planRef = await shelf.add('plan', mischief.servedPlan ?? planBytes);
  const listener = memoryListener();
  const requests: ClientMessage[] = [];
  const reports: FakeReport[] = [];
  const peers = new Set<CoordinatorPeer>();
  const joinedPeers = new Set<CoordinatorPeer>();
  const model = modelOf(plan);
  const exchanges = exchangesOf(plan, model.reportShape);
  /** `blobs[e]`: what exchange e comes with; those that have begun. */
  const offers = new Map<string, { offer: Offer; blobs: BlobRef[][] }>();
  let standing = { round: 0, head: GENESIS_HEAD };
  const records: CommitRecord[] = [];

  const open = async ({ participant, offerHash: hash, suite, exchange, bytes }: ReceivedReport): Promise<void> => {
    const offerHash = toHex(hash);
    const { offer } = offers.get(offerHash)!;
    const context = {
      participant: Buffer.from(participant, 'base64url'),
      task: offer.task,
      round: offer.round,
      attempt: offer.attempt,
      exchange,
      planHash: offer.planHash,
      modelHash: offer.modelHash,
      offerHash: Buffer.from(offerHash, 'hex'),
    };
    const plain = await suiteNamed(suite).open(crypto, aggregator.secretKey, context, bytes);
    reports.push({ participant, offerHash, exchange, words: new Int32Array(plain.slice().buffer) });
  };

  const startOf = async (offerHash: Uint8Array, index: number, blobs: BlobRef[], signer = identity) => {
    const start = { offerHash, index, blobs };
    return { ...start, signature: await signer.sign(exchangeStatement(start)) };
  };
  const take = (offerHash: Uint8Array, index: number): void => {
    const bytes = 4 * wordsOf(exchanges[index]!);
    const sizes = suitesOf(plan).map((name) => [name, suiteNamed(name).sealedBytes(bytes)]);
    desk.begin(offerHash, index, Object.fromEntries(sizes));
  };

  const serve = (peer: CoordinatorPeer): void => {
    let handshake: Handshake | undefined;
    let participant = '';
    const exchangeFor = async (offerHash: Uint8Array): Promise<ServerMessage & { type: 'exchange' }> => {
      const entry = offers.get(toHex(offerHash));
      if (!entry) throw new TacitError('round/stale', 'no such offer');
      return { type: 'exchange', exchange: await startOf(offerHash, entry.blobs.length - 1, entry.blobs.at(-1)!) };
    };
    const answer = async (m: ClientMessage, body: Uint8Array | undefined): Promise<[ServerMessage, Uint8Array?]> => {
      const re = m.id;
      switch (m.type) {
        case 'hello': {
          handshake = {
            versions: m.versions,
            version: 1,
            clientNonce: m.nonce,
            serverNonce: nonce(),
            serverKey: identity.publicKey,
            task: plan.task,
          };
          const { version, serverKey, serverNonce, task } = handshake;
          const signature = await identity.sign(welcomeStatement(handshake));
          return [{ type: 'welcome', re, version, serverKey, nonce: serverNonce, task, signature }];
        }
        case 'identify':
          await verifyStatement(crypto, m.identity, authStatement(handshake!, m.identity), m.signature);
          participant = participantId(m.identity);
          return [{ type: 'identified', re, admitted: true }];
        case 'join':
          joinedPeers.add(peer);
          return [
            {
              type: 'joined',
              re,
              planHash,
              planBytes: planRef.bytes,
              planSignature: await identity.sign(planStatement(plan.task, planHash)),
              aggregatorKey: aggregator.publicKey,
              aggregatorSignature: await identity.sign(aggregatorStatement(plan.task, aggregator.publicKey)),
              ...standing,
              finished: false,
            },
          ];
        case 'ask': {
          const hash = toHex(m.hash) === toHex(planHash) ? planRef.hash : m.hash;
          const chunk = shelf.chunk(hash, m.offset);
          return [{ type: 'chunk', re, hash: m.hash, offset: m.offset, bytes: chunk.bytes }, chunk.body];
        }
        case 'accept': {
          const hash = toHex(m.offerHash);
          const now = (offers.get(hash)?.blobs.length ?? 0) - 1;
          const sent = reports.some((r) => r.participant === participant && r.offerHash === hash && r.exchange === now);
          if (sent) throw new TacitError('round/duplicate', 'a report is in');
          return [{ ...(await exchangeFor(m.offerHash)), re }];
        }
        case 'upload':
          return [{ type: 'got', re, offset: desk.open(participantId(Buffer.from(participant, 'base64url')), m) }];
        case 'put': {
          const offset = desk.put(participantId(Buffer.from(participant, 'base64url')), m, body!);
          return [{ type: 'got', re, offset }];
        }
        case 'commit':
          await desk.commit(participantId(Buffer.from(participant, 'base64url')), m, open);
          return [{ type: 'ok', re }];
        case 'history':
          return [{ type: 'records', re, records: records.slice(m.from, m.from + 2) }];
        case 'answer':
          throw new TacitError('wire/unexpected', 'nothing is masked here');
        case 'decline':
        case 'bye':
          return [{ type: 'ok', re }];
        default:
          return m satisfies never;
      }
    };
    peer.onMessage(({ message, body }) => {
      void (async () => {
        requests.push(message);
        try {
          mischief.before?.(message);
          const [reply, replyBody] = await answer(message, body);
          const sent = mischief.reply ? mischief.reply(reply, message) : reply;
          if (sent) await peer.send(sent, replyBody);
        } catch (thrown) {
          await peer.sendError(asTacitError(thrown), message.id).catch(() => {});
        }
      })();
    });
  };
  listener.onConnection((connection) => {
    const peer = coordinatorPeer(connection);
    peers.add(peer);
    peer.onClose(() => {
      peers.delete(peer);
      joinedPeers.delete(peer);
    });
    serve(peer);
  });

  const broadcast = (message: ServerMessage): void => {
    for (const peer of joinedPeers) void peer.send(message).catch(() => {});
  };
  const initial: NamedArrays = Object.fromEntries(
    Object.entries(model.init(plan.seed)).filter(([name]) => Object.hasOwn(model.aggregated, name)),
  );

  return {
    listener,
    plan,
    planHash,
    identity,
    fingerprint: await fingerprintOf(crypto, identity.publicKey),
    initial,
    requests,
    reports,
    peers,
    joinedPeers,
    broadcast,
    sent: (type: ClientMessage['type']): ClientMessage[] => requests.filter((m) => m.type === type),
    drop: (): void => {
      for (const peer of [...peers]) peer.close('dropped');
    },
    /** The links of the transcript, for a test to falsify. */
    records,
    setStanding: (next: { round: number; head: Uint8Array }): void => {
      standing = next;
    },
    /** Offers a round to everybody. @returns the offer's hash */
    async offer(changes: Partial<Offer> = {}, arrays: NamedArrays = initial, signer = identity): Promise<Uint8Array> {
      const bytes = encodeSafetensors(arrays);
      const ref = await shelf.add('model', bytes);
      const offer: Offer = {
        v: 1,
        task: plan.task,
        kind: 'train',
        round: 0,
        attempt: 1,
        modelVersion: 0,
        modelHash: ref.hash,
        planHash,
        nonce: nonce(),
        ...changes,
      };
      const offerHash = await offerHashOf(crypto, offer);
      offers.set(toHex(offerHash), { offer, blobs: [[ref]] });
      take(offerHash, 0);
      broadcast({ type: 'offer', offer, signature: await signer.sign(offerStatement(offer)) });
      return offerHash;
    },
    /** Sends an offer again, as to a participant that came back. */
    async repeat(offerHash: Uint8Array): Promise<void> {
      const { offer } = offers.get(toHex(offerHash))!;
      broadcast({ type: 'offer', offer, signature: await identity.sign(offerStatement(offer)) });
    },
    /** Starts the next exchange of an offer for everybody. */
    async next(offerHash: Uint8Array, arrays: NamedArrays, signer = identity): Promise<void> {
      const { blobs } = offers.get(toHex(offerHash))!;
      const ref = await shelf.add(BROADCAST, encodeSafetensors(arrays));
      blobs.push([ref]);
      take(offerHash, blobs.length - 1);
      const start = await startOf(offerHash, blobs.length - 1, [ref], signer);
      broadcast({ type: 'exchange', exchange: start });
    },
    /** From now on says that the exchange under way starts from other blobs than it has said before. */
    async restart(offerHash: Uint8Array, arrays: NamedArrays): Promise<void> {
      const { blobs } = offers.get(toHex(offerHash))!;
      blobs[blobs.length - 1] = [await shelf.add(BROADCAST, encodeSafetensors(arrays))];
    },
    /** A start of the next exchange with these blobs under these names, in this order. */
    async startNamed(offerHash: Uint8Array, named: readonly (readonly [string, NamedArrays])[]): Promise<void> {
      const { blobs } = offers.get(toHex(offerHash))!;
      const refs: BlobRef[] = [];
      for (const [name, arrays] of named) refs.push(await shelf.add(name, encodeSafetensors(arrays)));
      broadcast({ type: 'exchange', exchange: await startOf(offerHash, blobs.length, refs) });
    },
    /** Commits a round and moves on; everybody is told, unless `silent`. */
    async commit(
      offerHash: Uint8Array,
      changes: Partial<CommitRecord> = {},
      signer = identity,
      { silent = false } = {},
    ): Promise<Uint8Array> {
      const { offer } = offers.get(toHex(offerHash)) ?? { offer: { round: 0, attempt: 1 } };
      const unsigned = {
        offerHash,
        round: offer.round,
        attempt: offer.attempt,
        participants: 3,
        aggregateHash: new Uint8Array(32).fill(1),
        modelHash: new Uint8Array(32).fill(2),
        prevHead: standing.head,
        ...changes,
      };
      const commit = { ...unsigned, signature: await signer.sign(commitStatement(unsigned)) };
      standing = { round: standing.round + 1, head: await headAfter(crypto, commit) };
      records.push(commit);
      if (!silent) broadcast({ type: 'committed', commit });
      return standing.head;
    },
    async finish(arrays: NamedArrays = initial, signer = identity): Promise<Uint8Array> {
      const ref = await shelf.add('model', encodeSafetensors(arrays));
      const rounds = standing.round;
      const statement = finishedStatement({
        task: plan.task,
        planHash,
        modelHash: ref.hash,
        modelBytes: ref.bytes,
        rounds,
      });
      broadcast({ type: 'finished', model: ref, rounds, signature: await signer.sign(statement) });
      return ref.hash;
    },
  };
}
