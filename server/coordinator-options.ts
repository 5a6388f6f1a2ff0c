/** What a coordinator is made of, and what can be done with it. */
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import type { FederationInfo } from '../protocol/federation-info.ts';
import type { Identity } from '../protocol/identity.ts';
import type { Plan } from '../protocol/plan.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import type { Listener } from '../protocol/transport.ts';
import type { Clock } from './clock.ts';
import type { Sampler } from './cohort.ts';
import type { CoordinatorEvent, RunResult } from './events.ts';
import type { LimitOptions } from './round-limits.ts';
import type { RoundState } from './round-state.ts';
import type { Store } from './store/store.ts';
import type { Strategy } from './strategies/strategy.ts';

export interface CoordinatorOptions extends Omit<LimitOptions, 'exchanges' | 'first'> {
  /** Complete (`completePlan`). */
  readonly plan: Plan;
  /** The plan's bytes, if it was serialised before; default: compact JSON. */
  readonly planBytes?: Uint8Array;
  /** Where participants come in. */
  readonly listener: Listener | readonly Listener[];
  /** Where committed rounds go; a run that is in it already is gone on with. */
  readonly store: Store;
  /** The coordinator's Ed25519 key, whose fingerprint participants pin. */
  readonly identity: Identity;
  readonly crypto: CryptoProvider;
  /** Weights to start from instead of the plan's own; names and shapes must be the plan's. */
  readonly initialModel?: NamedArrays;
  readonly strategy?: Strategy;
  readonly sampler?: Sampler;
  readonly onEvent?: (event: CoordinatorEvent) => void;
  /** The first pause after an attempt that failed; it doubles, up to 30 s. Default 1 s. */
  readonly retryMs?: number;
  /** Memory that uploads may take together. Default 256 MiB. */
  readonly maxUploadBytes?: number;
  /** Bytes of files (sealed, in the system's folder for such) that further uploads may take; beyond, participants are told when to come back. Default 4 GiB. */
  readonly maxSpillBytes?: number;
  readonly maxParticipants?: number;
  readonly clock?: Clock;
  /** Seconds since 1970, for the expiry of certificates. */
  readonly nowSeconds?: () => number;
}

export interface Status {
  readonly phase: RoundState['phase'] | 'starting' | 'finished' | 'stopped';
  /** Rounds committed so far. */
  readonly round: number;
  readonly rounds: number;
  readonly participants: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export interface Coordinator {
  /**
   * Runs to the plan's last round, or until `stop`.
   * @throws TacitError run/failed after too many failed attempts, run/store, plan/refused, weights/mismatch
   */
  run(): Promise<RunResult>;
  /** Aborts the round that is under way (a commit that has begun is finished), says so to everybody, and closes all connections. */
  stop(): Promise<void>;
  /** Resolves when nobody is connected any more, after `limitMs`, or on `stop`: participants leave once they have the final model. */
  drained(limitMs: number): Promise<void>;
  readonly status: Status;
  /** What may be told to anybody; undefined until the run has begun. */
  info(): FederationInfo | undefined;
}
