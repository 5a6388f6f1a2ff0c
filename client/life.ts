/** What one call of `joinFederation` has from its beginning to its end, over all of its connections. */
import { toHex } from '../protocol/bytes.ts';
import type { CertificateCheck } from '../protocol/secagg/contracts.ts';
import type { Agreement } from './agreement.ts';
import type { Downloads } from './download.ts';
import type { ParticipantEvent } from './events.ts';
import type { JoinOptions } from './join-options.ts';
import { EMPTY_NOTEBOOK } from './notebook.ts';
import { type ParticipantState, WAITING } from './participant-state.ts';
import { DEFAULT_POLICY, type LocalPolicy, parsePolicy } from './policy.ts';
import { memoryStore, type ParticipantStore } from './store.ts';
import type { Traffic } from './traffic.ts';

/** Names in the store of what belongs to one coordinator's task. */
export interface Names {
  readonly notebook: string;
  readonly local: string;
}

/** What a participant agreed to when it joined for the first time. */
export interface FirstJoining {
  readonly agreement: Agreement;
  readonly fingerprint: string;
  readonly names: Names;
  /** Refuses the certificates of others; undefined where the plan admits everyone. */
  readonly checkCertificate: CertificateCheck | undefined;
}

/** Everything that belongs to one call of `joinFederation`. */
export interface Life {
  readonly options: JoinOptions;
  readonly policy: LocalPolicy;
  readonly store: ParticipantStore;
  readonly seed: string | number;
  readonly signal: AbortSignal;
  readonly traffic: Traffic;
  readonly state: ParticipantState;
  readonly downloads: Downloads;
  readonly emit: (event: ParticipantEvent) => void;
  /** Settled when the notebook has been written. */
  revising: Promise<unknown>;
  /** Of the first joining; later ones must be with the same key and under the same plan. */
  first: FirstJoining | undefined;
}

/** @param onProgress called whenever a report or a round has gone through */
export function newLife(options: JoinOptions, onProgress: () => void): Life {
  const traffic: Traffic = { up: 0, down: 0 };
  let told: string | undefined;
  const emit = (event: ParticipantEvent): void => options.onEvent?.(event, traffic);
  /** Says what trains here before anything else, and again when that has changed. */
  const tellEngine = (): void => {
    const { engine, reason } = options.trainer;
    if (reason === undefined || told === `${engine}: ${reason}`) return;
    told = `${engine}: ${reason}`;
    emit({ type: 'engine', engine, reason });
  };
  return {
    options,
    policy: options.policy ? parsePolicy(options.policy) : DEFAULT_POLICY,
    store: options.store ?? memoryStore(),
    seed: options.seed ?? toHex(options.crypto.randomBytes(16)),
    signal: options.signal ?? new AbortController().signal,
    traffic,
    state: { session: WAITING, notebook: EMPTY_NOTEBOOK, local: undefined, reports: 0, failures: 0 },
    downloads: { underWay: undefined },
    revising: Promise.resolve(),
    emit: (event) => {
      if (event.type === 'reported' || event.type === 'committed') onProgress();
      tellEngine();
      emit(event);
    },
    first: undefined,
  };
}
