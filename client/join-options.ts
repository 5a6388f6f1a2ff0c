/** What a participant is made of, and what comes of taking part. */
import type { SourceSpec } from '../learning/data/source.ts';
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import type { Identity } from '../protocol/identity.ts';
import type { Capabilities } from '../protocol/messages.ts';
import type { Plan } from '../protocol/plan.ts';
import type { Connection } from '../protocol/transport.ts';
import type { Backoff } from './backoff.ts';
import type { Trainer } from './build-words.ts';
import type { ParticipantEvent } from './events.ts';
import type { LocalPolicy } from './policy.ts';
import type { ParticipantStore } from './store.ts';
import type { Traffic } from './traffic.ts';

/** A trainer that says what it trains with, and why. */
export type NamedTrainer = Trainer & { readonly engine: string; readonly reason?: string };

export interface JoinOptions {
  /** Opens a connection to the coordinator; called again after each loss. */
  readonly connect: (signal: AbortSignal) => Promise<Connection>;
  readonly crypto: CryptoProvider;
  /** Who this participant is, to this coordinator and over all its connections. */
  readonly identity: Identity;
  /** Runs the local training: a training pool. */
  readonly trainer: NamedTrainer;
  /** The private images. Only the trainer reads them. */
  readonly source: SourceSpec;
  /** The task to join; default: whichever the coordinator runs. */
  readonly task?: string | undefined;
  /** The fingerprint that the coordinator's key must have. Without it, whoever answers is believed to be the coordinator. */
  readonly fingerprint?: string | undefined;
  /** An operator-signed certificate of this identity. */
  readonly certificate?: Uint8Array | undefined;
  readonly policy?: LocalPolicy | undefined;
  /** Private seed of local training (batches, augmentation). Default: from the operating system. */
  readonly seed?: string | number | undefined;
  /** Connections that may fail in a row before giving up; default 5. */
  readonly retries?: number | undefined;
  readonly backoff?: Backoff | undefined;
  /** Where the notebook and what is kept between rounds survive a restart; default: nowhere. */
  readonly store?: ParticipantStore | undefined;
  /** Whether to download the final model; default true. */
  readonly keepModel?: boolean | undefined;
  readonly platform?: Capabilities['platform'] | undefined;
  /** Throws when the data do not fit the plan; called once, before the first round. */
  readonly checkData?: ((plan: Plan) => Promise<void>) | undefined;
  /** `traffic` is the running total of bytes; the same object each time. */
  readonly onEvent?: ((event: ParticipantEvent, traffic: Readonly<Traffic>) => void) | undefined;
  /** Aborting leaves: the coordinator is told, and the result says `left`. */
  readonly signal?: AbortSignal | undefined;
  /** For tests: milliseconds since the epoch, and a uniform number in [0, 1). */
  readonly now?: (() => number) | undefined;
  readonly random?: (() => number) | undefined;
}

export interface JoinResult {
  /** `left`: the signal was aborted before the run had finished. */
  readonly ended: 'finished' | 'left';
  /** Committed rounds of the run, as far as they were seen. */
  readonly rounds: number;
  /** Reports of this participant that the coordinator acknowledged. */
  readonly reports: number;
  /** Hex SHA-256 of the final model. */
  readonly modelHash?: string;
  /** The final model, a safetensors file with that hash. */
  readonly finalModel?: Uint8Array;
  readonly bytesUp: number;
  readonly bytesDown: number;
}
