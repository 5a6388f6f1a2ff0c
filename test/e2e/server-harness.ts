/** A coordinator in memory, and participants that speak the real protocol with real cryptography but train by drawing numbers. */
import { modelOf } from '../../learning/model.ts';
import { completePlan } from '../../learning/registry.ts';
import { asBytes, equalBytes, utf8 } from '../../protocol/bytes.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import type { TacitError } from '../../protocol/errors.ts';
import { flatten } from '../../protocol/flatten.ts';
import {
  authStatement,
  exchangeStatement,
  type Handshake,
  type Identity,
  identityFromSeed,
  offerHashOf,
  offerStatement,
  uploadStatement,
  verifyStatement,
  welcomeStatement,
} from '../../protocol/identity.ts';
import { type MemoryListener, memoryListener } from '../../protocol/memory-transport.ts';
import type { BlobRef, ExchangeStart, Offer, ServerMessage, ServerMessageOf } from '../../protocol/messages.ts';
import { type ParticipantPeer, participantPeer } from '../../protocol/peer.ts';
import type { Plan } from '../../protocol/plan.ts';
import type { SuiteName } from '../../protocol/plan-privacy.ts';
import { stream } from '../../protocol/random.ts';
import { buildReport } from '../../protocol/report.ts';
import { decodeSafetensors } from '../../protocol/safetensors.ts';
import { suiteNamed } from '../../protocol/sealing/suites.ts';
import { exchangesOf } from '../../protocol/sections.ts';
import { pullBlob, pushReport } from '../../protocol/transfer.ts';
import type { Connection } from '../../protocol/transport.ts';
import type { Clock } from '../../server/clock.ts';
import { createCoordinator } from '../../server/coordinator.ts';
import type { Coordinator, CoordinatorOptions } from '../../server/coordinator-options.ts';
import type { CoordinatorEvent } from '../../server/events.ts';
import { memoryStore } from '../../server/store/memory.ts';

type Json = Readonly<Record<string, unknown>>;

/** A plan with a few hundred parameters; `rounds` and `privacy` are laid over its own. */
export const testPlan = (changes: { rounds?: Json; privacy?: Json } & Json = {}): Plan => {
  const { rounds, privacy, ...others } = changes;
  return completePlan({
    version: 1,
    task: 'test',
    seed: 3,
    data: { shape: [4, 4, 1] },
    encoder: { name: 'mlp', hidden: [8], dim: 8 },
    pretext: { name: 'spectral', projector: { hidden: [8], dim: 4 } },
    augmentation: { name: 'image' },
    training: { steps: 1, batch: 8, optimiser: { name: 'sgd', learningRate: 0.1 } },
    rounds: { count: 2, cohort: 3, overSelection: 1, waitForAll: true, ...rounds },
    privacy: privacy?.mode === 'secagg+dp' ? privacy : { mode: 'sealed', clipNorm: 2, maxExamples: 100, ...privacy },
    ...others,
  });
};

/** The plan of the coordinator that is killed. */
export const killPlan: Plan = testPlan({ rounds: { count: 3, minReports: 3, trainMs: 60_000 } });

/** Time that passes when the test says so. */
export interface ManualClock extends Clock {
  /** Lets time pass, and everything that is due happen, in order. */
  advance(ms: number): Promise<void>;
}

/** Lets promises and the in-memory transport come to rest: real turns of the event loop, no time of the clock under test. */
export const rest = async (): Promise<void> => {
  for (let i = 0; i < 30; i++) await new Promise((resolve) => setImmediate(resolve));
};

export function manualClock(): ManualClock {
  let now = 0;
  let order = 0;
  const timers = new Set<{ due: number; order: number; action: () => void }>();
  return {
    now: () => now,
    after(ms, action) {
      const timer = { due: now + Math.max(0, ms), order: order++, action };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    async advance(ms) {
      const end = now + ms;
      for (;;) {
        await rest();
        const due = [...timers].filter((t) => t.due <= end).sort((a, b) => a.due - b.due || a.order - b.order)[0];
        if (!due) break;
        timers.delete(due);
        now = Math.max(now, due.due);
        due.action();
      }
      now = end;
      await rest();
    },
  };
}

export interface Harness {
  readonly coordinator: Coordinator;
  readonly listener: MemoryListener;
  readonly events: CoordinatorEvent[];
  readonly plan: Plan;
  readonly serverKey: Uint8Array;
  /** Resolves with the next event of a type, also one that has happened already and was not waited for. */
  event<T extends CoordinatorEvent['type']>(type: T): Promise<Extract<CoordinatorEvent, { type: T }>>;
}

/** A seeded key, so that runs can be repeated. */
export const identityOf = (name: string): Promise<Identity> =>
  nodeCrypto.sha256(utf8(name)).then((seed) => identityFromSeed(nodeCrypto, seed));

export async function harness(plan: Plan, options: Partial<CoordinatorOptions> = {}): Promise<Harness> {
  const listener = memoryListener();
  const identity = await identityOf('coordinator');
  const events: CoordinatorEvent[] = [];
  const unread: CoordinatorEvent[] = [];
  const waiting: { type: string; resolve: (event: CoordinatorEvent) => void }[] = [];
  const coordinator = createCoordinator({
    plan,
    listener,
    store: memoryStore(),
    identity,
    crypto: nodeCrypto,
    retryMs: 1,
    onEvent: (event) => {
      events.push(event);
      const taker = waiting.findIndex(({ type }) => type === event.type);
      if (taker >= 0) waiting.splice(taker, 1)[0]!.resolve(event);
      else unread.push(event);
    },
    ...options,
  });
  const event = <T extends CoordinatorEvent['type']>(type: T) =>
    new Promise<CoordinatorEvent>((resolve) => {
      const at = unread.findIndex((e) => e.type === type);
      if (at >= 0) resolve(unread.splice(at, 1)[0]!);
      else waiting.push({ type, resolve });
    }) as Promise<Extract<CoordinatorEvent, { type: T }>>;
  return { coordinator, listener, events, plan, serverKey: identity.publicKey, event };
}

/** One participant, step by step; every signature of the coordinator is checked. */
export class FakeParticipant {
  readonly peer: ParticipantPeer;
  readonly connection: Connection;
  readonly identity: Identity;
  readonly plan: Plan;
  readonly log: ServerMessage[] = [];
  closed: string | undefined;
  private readonly serverKey: Uint8Array;
  private readonly unread: ServerMessage[] = [];
  private readonly waiting: { type: string; resolve: (message: ServerMessage) => void }[] = [];
  joined: ServerMessageOf<'joined'> | undefined;

  constructor(connection: Connection, identity: Identity, { plan, serverKey }: Pick<Harness, 'plan' | 'serverKey'>) {
    this.connection = connection;
    this.identity = identity;
    this.plan = plan;
    this.serverKey = serverKey;
    this.peer = participantPeer(connection);
    this.peer.onClose((reason) => {
      this.closed = reason;
    });
    this.peer.onMessage(({ message }) => {
      this.log.push(message);
      const taker = this.waiting.findIndex(({ type }) => type === message.type);
      if (taker >= 0) this.waiting.splice(taker, 1)[0]!.resolve(message);
      else this.unread.push(message);
    });
  }

  /** Resolves with the next notice of a type, also one that has come already and was not waited for. */
  next<T extends ServerMessage['type']>(type: T): Promise<ServerMessageOf<T>> {
    return new Promise<ServerMessage>((resolve) => {
      const at = this.unread.findIndex((message) => message.type === type);
      if (at >= 0) resolve(this.unread.splice(at, 1)[0]!);
      else this.waiting.push({ type, resolve });
    }) as Promise<ServerMessageOf<T>>;
  }

  async hello(versions = [1]): Promise<Handshake> {
    const clientNonce = nodeCrypto.randomBytes(32);
    const { message } = await this.peer.request({
      type: 'hello',
      versions,
      nonce: clientNonce,
      software: 'test',
      capabilities: { suites: ['x25519-aes256gcm', 'nacl-box'], engine: 'none', platform: 'node' },
    });
    const { version, serverKey, nonce: serverNonce, task } = message;
    const handshake: Handshake = { versions, version, clientNonce, serverNonce, serverKey, task };
    await verifyStatement(nodeCrypto, this.serverKey, welcomeStatement(handshake), message.signature);
    return handshake;
  }

  async identify(handshake: Handshake, certificate: Uint8Array = new Uint8Array(0)): Promise<void> {
    const identity = this.identity.publicKey;
    const signature = await this.identity.sign(authStatement(handshake, identity));
    await this.peer.request({ type: 'identify', identity, signature, certificate });
  }

  async join(): Promise<ServerMessageOf<'joined'>> {
    const { message } = await this.peer.request({ type: 'join', task: this.plan.task });
    this.joined = message;
    return message;
  }

  async signIn(certificate?: Uint8Array): Promise<ServerMessageOf<'joined'>> {
    await this.identify(await this.hello(), certificate);
    return this.join();
  }

  /** The next offer, its signature checked. */
  async offer(): Promise<{ offer: Offer; offerHash: Uint8Array }> {
    const { offer, signature } = await this.next('offer');
    await verifyStatement(nodeCrypto, this.serverKey, offerStatement(offer), signature);
    return { offer, offerHash: await offerHashOf(nodeCrypto, offer) };
  }

  async accept(offerHash: Uint8Array): Promise<ExchangeStart> {
    const { message } = await this.peer.request({ type: 'accept', offerHash });
    await verifyStatement(nodeCrypto, this.serverKey, exchangeStatement(message.exchange), message.exchange.signature);
    return message.exchange;
  }

  pull(ref: BlobRef): Promise<Uint8Array> {
    return pullBlob(this.peer, ref, { crypto: nodeCrypto });
  }

  /** The words of a report, sealed for this offer. */
  async seal(
    { offer, offerHash }: { offer: Offer; offerHash: Uint8Array },
    words: Int32Array,
    { suite = 'x25519-aes256gcm', exchange = 0 }: { suite?: SuiteName; exchange?: number } = {},
  ): Promise<Uint8Array> {
    const { task, round, attempt, planHash, modelHash } = offer;
    const participant = this.identity.publicKey;
    const context = { participant, task, round, attempt, exchange, planHash, modelHash, offerHash };
    return suiteNamed(suite).seal(nodeCrypto, this.joined!.aggregatorKey, context, asBytes(words));
  }

  async push(
    offerHash: Uint8Array,
    sealed: Uint8Array,
    suite: SuiteName = 'x25519-aes256gcm',
    exchange = 0,
  ): Promise<void> {
    const hash = await nodeCrypto.sha256(sealed);
    await pushReport(this.peer, { offerHash, exchange, suite, hash, bytes: sealed });
  }

  async commit(offerHash: Uint8Array, sealed: Uint8Array, exchange = 0): Promise<void> {
    const hash = await nodeCrypto.sha256(sealed);
    const statement = uploadStatement({ offerHash, exchange, hash, bytes: sealed.length });
    const signature = await this.identity.sign(statement);
    await this.peer.request({ type: 'commit', offerHash, exchange, hash, bytes: sealed.length, signature });
  }

  /** Everything from an offer to an acknowledged report. */
  async report(at: { offer: Offer; offerHash: Uint8Array }, update = updateOf(this, at.offer.round)): Promise<void> {
    const exchange = await this.accept(at.offerHash);
    const model = await this.pull(exchange.blobs[0]!);
    if (!equalBytes(await nodeCrypto.sha256(model), at.offer.modelHash)) throw new Error('another model than offered');
    const sealed = await this.seal(at, wordsOf(this.plan, update));
    await this.push(at.offerHash, sealed);
    await this.commit(at.offerHash, sealed);
  }

  /** Takes part in whatever is offered, until the run is finished or the connection ends. */
  async takePart(): Promise<void> {
    await this.signIn();
    const end = this.next('finished').then(() => undefined);
    for (;;) {
      const offered = await Promise.race([this.offer(), end]);
      if (!offered) return;
      await this.report(offered).catch((error: TacitError) => {
        if (!error.code.startsWith('round/')) throw error;
      });
    }
  }
}

export interface Update {
  readonly delta: Float32Array;
  readonly loss: number;
  readonly examples: number;
}

/** What a participant "learns" in a round: seeded by its key, so that a run can be repeated and checked. */
export function updateOf({ identity, plan }: Pick<FakeParticipant, 'identity' | 'plan'>, round: number): Update {
  const rng = stream(identity.id, 'update', round);
  const { dimension } = modelOf(plan).reportShape;
  const delta = Float32Array.from({ length: dimension }, () => 0.05 * rng.normal());
  return { delta, loss: -rng.next(), examples: 1 + rng.below(150) };
}

export function wordsOf(plan: Plan, { delta, loss, examples }: Update): Int32Array {
  const [exchange] = exchangesOf(plan, modelOf(plan).reportShape);
  return buildReport(plan, exchange!, { delta, 'metrics/loss': Float32Array.of(loss) }, examples);
}

/** Federated averaging written down naively in double precision: what a round must give, up to the fixed-point step. */
export function expectedModel(plan: Plan, before: Float32Array, updates: readonly Update[]): Float64Array {
  const { clipNorm, maxExamples } = plan.privacy as Extract<Plan['privacy'], { mode: 'sealed' }>;
  const after = Float64Array.from(before);
  const weights = updates.map(({ examples }) => Math.min(examples, maxExamples));
  const total = weights.reduce((a, b) => a + b, 0);
  updates.forEach(({ delta }, k) => {
    const norm = Math.sqrt(delta.reduce((sum, x) => sum + x * x, 0));
    const factor = Math.min(1, clipNorm / norm);
    delta.forEach((x, i) => {
      after[i]! += (weights[k]! / total) * factor * x;
    });
  });
  return after;
}

export const parametersOf = (plan: Plan, model: Uint8Array): Float32Array =>
  flatten(decodeSafetensors(model).arrays, modelOf(plan).aggregated);

/** Joins `count` participants with seeded keys. */
export async function participants(at: Harness, count: number, prefix = 'participant'): Promise<FakeParticipant[]> {
  const made: FakeParticipant[] = [];
  for (let i = 0; i < count; i++) {
    made.push(new FakeParticipant(at.listener.connect(), await identityOf(`${prefix}-${i}`), at));
  }
  return made;
}
