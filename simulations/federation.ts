/**
 * A coordinator and its participants in one process, sharing one training pool: over real sockets on the loopback interface, or
 * over the in-memory transport. Nothing here is special to simulations but the seeded identities, which make runs repeatable.
 */
import { setMaxListeners } from 'node:events';
import { joinFromNode } from '../client/node/join.ts';
import { joinFederation } from '../client/participant.ts';
import { DEFAULT_POLICY, type LocalPolicy } from '../client/policy.ts';
import type { SourceSpec } from '../learning/data/source.ts';
import type { TrainingPool } from '../learning/pool/scheduler.ts';
import { utf8 } from '../protocol/bytes.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { TacitError } from '../protocol/errors.ts';
import { fingerprintOf, type Identity, identityFromSeed } from '../protocol/identity.ts';
import { memoryListener } from '../protocol/memory-transport.ts';
import type { Plan } from '../protocol/plan.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import type { Connection, Listener } from '../protocol/transport.ts';
import { createCoordinator } from '../server/coordinator.ts';
import type { CoordinatorEvent, RunResult } from '../server/events.ts';
import { createHttp } from '../server/http.ts';
import { socketListener } from '../server/socket-io.ts';
import { memoryStore } from '../server/store/memory.ts';
import type { Enrolment } from './enrolment.ts';

export interface FederationOptions {
  /** Complete (`completePlan`); its seed also makes the identities. */
  readonly plan: Plan;
  readonly transport: 'sockets' | 'memory';
  /** One participant each. */
  readonly sources: readonly SourceSpec[];
  readonly pool: TrainingPool;
  /** Certificates of the participants, for a plan that requires them. */
  readonly enrolment?: Enrolment | undefined;
  /** Weights to start from, when the plan names some by their hash. */
  readonly initialModel?: NamedArrays | undefined;
  readonly signal: AbortSignal;
  readonly onEvent?: (event: CoordinatorEvent) => void;
}

export interface FederationRun {
  readonly result: RunResult;
  readonly fingerprint: string;
}

/** Who joins, and with what. */
interface Joining {
  readonly identity: Identity;
  readonly source: SourceSpec;
  readonly seed: string;
  readonly certificate?: Uint8Array;
  readonly policy?: LocalPolicy;
}

/** A way in: where the coordinator listens and how participant k joins. */
interface Venue {
  readonly listener: Listener;
  join(participant: Joining, signal: AbortSignal): Promise<unknown>;
  close(): Promise<void>;
}

/** An identity that is the same for the same seed; fit for simulations only. */
async function seededIdentity(seed: number, name: string): Promise<Identity> {
  return identityFromSeed(nodeCrypto, await nodeCrypto.sha256(utf8(`tacit simulation ${seed} ${name}`)));
}

/** The identity of participant k of a simulation. */
export const participantIdentity = (seed: number, k: number): Promise<Identity> =>
  seededIdentity(seed, `participant ${k}`);

/** The seed with which participant k of a simulation draws batches and views. */
export const trainingSeed = (seed: number, k: number): string => `${seed}/participant/${k}`;

async function socketVenue(pool: TrainingPool, fingerprint: string): Promise<Venue> {
  const http = await createHttp({ port: 0 });
  const listener = socketListener(http.server, http.policy);
  const { url } = await http.listen();
  return {
    listener,
    join: ({ source: data, ...own }, signal) =>
      joinFromNode({ url, data, ...own, signal, fingerprint, trainer: pool, proxy: false, keepModel: false }),
    close: () => http.close(),
  };
}

function memoryVenue(pool: TrainingPool, fingerprint: string): Venue {
  const listener = memoryListener();
  const connect = async (): Promise<Connection> => listener.connect();
  return {
    listener,
    join: (own, signal) =>
      joinFederation({
        connect,
        crypto: nodeCrypto,
        ...own,
        signal,
        fingerprint,
        trainer: pool,
        platform: 'node',
        keepModel: false,
      }),
    close: () => listener.close(),
  };
}

/** Runs all rounds of the plan. @throws TacitError of the coordinator, or of the first participant that could not take part */
export async function runFederation(options: FederationOptions): Promise<FederationRun> {
  const { plan, sources, pool, signal, onEvent, enrolment } = options;
  const identity = await seededIdentity(plan.seed, 'coordinator');
  const fingerprint = await fingerprintOf(nodeCrypto, identity.publicKey);
  const venue = options.transport === 'sockets' ? await socketVenue(pool, fingerprint) : memoryVenue(pool, fingerprint);
  const coordinator = createCoordinator({
    plan,
    listener: venue.listener,
    store: memoryStore(),
    identity,
    crypto: nodeCrypto,
    waitFor: sources.length,
    ...(options.initialModel ? { initialModel: options.initialModel } : {}),
    ...(onEvent ? { onEvent } : {}),
  });
  const leave = new AbortController();
  const everybodyLeaves = AbortSignal.any([signal, leave.signal]);
  setMaxListeners(0, everybodyLeaves); // each participant listens several times
  const stop = (): void => void coordinator.stop();
  signal.addEventListener('abort', stop, { once: true });
  // whoever wrote the plan has the data as well, and may choose small batches
  const minBatch = Math.min(DEFAULT_POLICY.minBatch, plan.training.batch);
  const policy = { ...(enrolment?.policy ?? DEFAULT_POLICY), minBatch };
  try {
    const running = coordinator.run();
    const joined = sources.map(async (source, k) => {
      const own = await participantIdentity(plan.seed, k);
      const certificate = enrolment?.certificates[k];
      const admitted = enrolment && certificate ? { certificate } : {};
      const seed = trainingSeed(plan.seed, k);
      return venue.join({ identity: own, source, seed, policy, ...admitted }, everybodyLeaves);
    });
    const failure = Promise.all(joined).then(() => running);
    const result = await Promise.race([running, failure]);
    if (signal.aborted) throw new TacitError('train/cancelled', 'the run was stopped before its last round');
    await Promise.allSettled(joined);
    return { result, fingerprint };
  } finally {
    signal.removeEventListener('abort', stop);
    leave.abort();
    await coordinator.stop();
    await venue.close();
  }
}
