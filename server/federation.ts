/**
 * What holds for a whole run: the plan and its signed hash, the keys, the sections, what is on the shelf, and how far the run has
 * come according to the store.
 */
import { modelOf } from '../learning/model.ts';
import { toHex, utf8 } from '../protocol/bytes.ts';
import type { CryptoProvider, KeyPair } from '../protocol/crypto/provider.ts';
import { TacitError } from '../protocol/errors.ts';
import { flatten } from '../protocol/flatten.ts';
import { aggregatorStatement, GENESIS_HEAD, type Identity, planStatement } from '../protocol/identity.ts';
import type { HashHex } from '../protocol/ids.ts';
import type { BlobRef } from '../protocol/messages.ts';
import type { Plan } from '../protocol/plan.ts';
import { assertFinite, checkAgainst, decodeSafetensors, encodeSafetensors } from '../protocol/safetensors.ts';
import { type Exchange, exchangesOf } from '../protocol/sections.ts';
import type { NamedArrays, NamedSpecs } from '../protocol/tensors.ts';
import { type BlobShelf, createBlobShelf } from '../protocol/transfer.ts';
import { LIMITS } from '../protocol/transport.ts';
import type { RoundSummary } from './events.ts';
import type { CommitSummary, Store } from './store/store.ts';
import { strategyOf } from './strategies/registry.ts';
import type { Strategy } from './strategies/strategy.ts';

/** The part of a run that does not change. */
export interface Federation {
  readonly crypto: CryptoProvider;
  readonly identity: Identity;
  readonly store: Store;
  readonly shelf: BlobShelf;
  readonly plan: Plan;
  readonly planRef: BlobRef;
  readonly planSignature: Uint8Array;
  /** Names this run in the store. */
  readonly run: HashHex;
  /** X25519 key that reports are sealed to: made anew by every process, since no round outlives one. */
  readonly aggregator: KeyPair;
  readonly aggregatorSignature: Uint8Array;
  readonly exchanges: readonly Exchange[];
  /** The parameters that are sent, in manifest order. */
  readonly specs: NamedSpecs;
  readonly strategy: Strategy;
}

/** How far a run has come. */
export interface Progress {
  /** Committed rounds; also the number of the next round, and the version of the model. */
  readonly version: number;
  readonly head: Uint8Array;
  /** The global model: its safetensors bytes and its parameters as one vector. */
  readonly model: Uint8Array;
  readonly modelHash: Uint8Array;
  readonly global: Float32Array;
  readonly strategyState: NamedArrays;
}

export interface FederationOptions {
  /** Complete (`completePlan`). */
  readonly plan: Plan;
  /** The plan as it is sent, if it was serialised before. Default: compact JSON. */
  readonly planBytes?: Uint8Array;
  readonly crypto: CryptoProvider;
  /** The coordinator's Ed25519 key, whose fingerprint participants pin. */
  readonly identity: Identity;
  readonly store: Store;
  readonly strategy?: Strategy;
}

/** Signs what is signed once. @throws TacitError plan/refused, wire/too-large */
export async function openFederation(options: FederationOptions): Promise<Federation> {
  const { plan, crypto, identity, store } = options;
  const planBytes = options.planBytes ?? utf8(JSON.stringify(plan));
  if (planBytes.length > LIMITS.planBytes)
    throw new TacitError('plan/refused', `the plan has ${planBytes.length} bytes`);
  const model = modelOf(plan);
  const shelf = createBlobShelf(crypto);
  const planRef = await shelf.add('plan', planBytes);
  const aggregator = await crypto.x25519KeyPair();
  return {
    crypto,
    identity,
    store,
    shelf,
    plan,
    planRef,
    planSignature: await identity.sign(planStatement(plan.task, planRef.hash)),
    run: toHex(planRef.hash) as HashHex,
    aggregator,
    aggregatorSignature: await identity.sign(aggregatorStatement(plan.task, aggregator.publicKey)),
    exchanges: exchangesOf(plan, model.reportShape),
    specs: model.aggregated,
    strategy: options.strategy ?? strategyOf(plan),
  };
}

const ofSpecs = (arrays: NamedArrays, specs: NamedSpecs): NamedArrays =>
  Object.fromEntries(Object.entries(arrays).filter(([name]) => Object.hasOwn(specs, name)));

/**
 * The last committed round of the store, or the start: `initial`, else the plan's own initial weights.
 * @throws TacitError weights/mismatch, weights/not-finite, weights/malformed, plan/refused, run/store
 */
export async function resume(federation: Federation, initial?: NamedArrays): Promise<Progress> {
  const { crypto, plan, store, run, specs, strategy } = federation;
  const last = await store.latest(run);
  if (last) {
    const { arrays } = decodeSafetensors(last.model);
    checkAgainst(arrays, specs);
    return {
      version: last.version,
      head: last.head,
      model: last.model,
      modelHash: last.record.modelHash,
      global: flatten(arrays, specs),
      strategyState: decodeSafetensors(last.state).arrays,
    };
  }
  const model = modelOf(plan);
  if (plan.initialWeights && !initial) {
    throw new TacitError('plan/refused', 'the plan starts from initial weights, and none were given', {
      where: 'initialWeights',
      hint: 'Start with the plan file that names them, or pass `initialModel`.',
    });
  }
  const arrays = ofSpecs(initial ?? model.init(plan.seed), specs);
  checkAgainst(arrays, specs);
  assertFinite(arrays);
  const bytes = encodeSafetensors(arrays);
  if (plan.initialWeights && toHex(await crypto.sha256(bytes)) !== plan.initialWeights.modelHash) {
    throw new TacitError('weights/mismatch', 'the initial weights are not those that the plan names by their hash');
  }
  return {
    version: 0,
    head: GENESIS_HEAD,
    model: bytes,
    modelHash: await crypto.sha256(bytes),
    global: flatten(arrays, specs),
    strategyState: strategy.init(plan, model.reportShape),
  };
}

/** Only under differential privacy. */
type Spent = 'epsilon' | 'epsilonRdp';
type Metric = Exclude<keyof RoundSummary, 'modelHash' | 'round' | 'attempt' | 'participants' | Spent>;
const METRICS: readonly Metric[] = [
  'accepted',
  'loss',
  'weight',
  'updateNorm',
  'modelNorm',
  'recruitSeconds',
  'trainSeconds',
  'aggregateSeconds',
  'seconds',
  'bytesUp',
  'bytesDown',
];

/** What of a summary goes into the store beside the signed record. */
export const metricsOf = (summary: RoundSummary): Readonly<Record<string, number>> => ({
  ...Object.fromEntries(METRICS.map((name) => [name, summary[name]])),
  ...spentIn(summary),
});

/** ε, where there is one. */
const spentIn = ({ epsilon, epsilonRdp }: { epsilon?: number; epsilonRdp?: number }): Pick<RoundSummary, Spent> =>
  epsilon === undefined || epsilonRdp === undefined ? {} : { epsilon, epsilonRdp };

/** A committed round as it was announced. */
export function summaryOf({ record, metrics }: CommitSummary): RoundSummary {
  const { round, attempt, participants, modelHash } = record;
  const values = Object.fromEntries(METRICS.map((name) => [name, metrics[name] ?? 0])) as Record<Metric, number>;
  return { round, attempt, participants, ...values, ...spentIn(metrics), modelHash: toHex(modelHash) };
}
