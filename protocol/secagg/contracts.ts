/**
 * Secure aggregation FSA/1 as seen from outside (SPEC.md §13): a session of a participant and one of the coordinator, which exchange
 * the bodies of objects.ts and never touch a socket. Double masks, Shamir recovery, signed agreement on the survivors:
 * Bonawitz et al., CCS 2017 (eprint 2017/281), in the active-adversary variant. Every step happens at most once and never goes back;
 * whatever is wrong ends the session: an error with a code, every secret erased.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { Identity } from '../identity.ts';
import type { ParticipantId } from '../ids.ts';

/** What both sides take from the plan, the model and the offer; never one from the other. */
export interface SessionTerms {
  readonly offerHash: Uint8Array;
  readonly planHash: Uint8Array;
  /** SHA-256 of the model's bytes as received. */
  readonly modelHash: Uint8Array;
  /** Ring words of the vector of each exchange of the round, in order. */
  readonly exchanges: readonly number[];
  /** Fewest participants of a group, at every stage; of the plan. */
  readonly minCohort: number;
  /** Most participants of the round: the fixed-point scale leaves room for no more. */
  readonly maxCohort: number;
  /** Most participants of one group, 128 by default, at most 256. Larger rosters are cut into groups drawn from their hash. */
  readonly maxGroup?: number;
  /** Whether a minimum cohort of 3 is accepted, of which nobody may drop out. */
  readonly allowNoDropout?: boolean;
}

/** Refuses a participant's certificate by throwing; the certificate has length 0 if it has none. */
export type CertificateCheck = (identity: Uint8Array, certificate: Uint8Array) => Promise<void>;

export interface ParticipantOptions extends SessionTerms {
  readonly crypto: CryptoProvider;
  readonly identity: Identity;
  /** The coordinator's raw Ed25519 key, which signs rosters and survivors. */
  readonly serverKey: Uint8Array;
  /** The floor of the participant's own policy; 3 is the floor of all. */
  readonly policyMinCohort: number;
  /** One's own certificate; length 0 without. */
  readonly certificate: Uint8Array;
  /** Left out where everyone may join: the coordinator then is trusted not to make participants up. */
  readonly checkCertificate?: CertificateCheck;
}

/** The participant's half of one session; bodies in, bodies out. Any error wipes it. */
export interface ParticipantSession {
  /** Makes the keys of the session. @returns the body `advertisement` */
  advertise(): Promise<Uint8Array>;
  /** Takes the body `roster`, finds its own group. @returns the body `sealed-shares` */
  share(roster: Uint8Array): Promise<Uint8Array>;
  /** Takes the body `delivery` and opens every share in it. @returns the body `complaint` if some are not as they should be */
  receive(delivery: Uint8Array): Promise<Uint8Array | undefined>;
  /**
   * Masks the words of an exchange; they are changed in place and returned as bytes. Exchanges come in order from 0.
   * @param startHash what the exchange started from, `startHashOf`; the offer's model by default
   */
  mask(exchange: number, words: Int32Array, startHash?: Uint8Array): Promise<Uint8Array>;
  /** Takes the body `survivors` of the exchange that was masked last. @returns the body `agreement` */
  agree(survivors: Uint8Array): Promise<Uint8Array>;
  /** Takes the body `agreements`. @returns the body `unmasking`; after the last exchange every secret is erased */
  unmask(agreements: Uint8Array): Promise<Uint8Array>;
  /** Erases every secret and ends the session. May be called at any time, more than once. */
  wipe(): void;
  /** The session's id, once the roster is in. */
  readonly sessionId: Uint8Array | undefined;
  /** The participants of one's group by their ids, in roster order, once the roster is in. */
  readonly group: readonly ParticipantId[];
  readonly phase: ParticipantPhase;
}

export type ParticipantPhase =
  | 'opened'
  | 'advertised'
  | 'shared'
  | 'ready'
  | 'masked'
  | 'agreed'
  | 'finished'
  | 'failed';

export interface ServerOptions extends SessionTerms {
  readonly crypto: CryptoProvider;
  /** The coordinator's own identity, which signs rosters and survivors. */
  readonly identity: Identity;
  readonly checkCertificate?: CertificateCheck;
  /** Worker threads that unmask; one less than the machine has processors by default. */
  readonly threads?: number;
}

/** Bodies to send, by participant. */
export type Bodies = ReadonlyMap<ParticipantId, Uint8Array>;

/** A sum over everyone whose masked words came in, of all groups that could be opened. */
export interface OpenedExchange {
  readonly sum: Int32Array<ArrayBuffer>;
  /** Whose words are in the sum. */
  readonly participants: readonly ParticipantId[];
}

/** Why a participant is named. */
export interface Fault {
  readonly participant: ParticipantId;
  /**
   * `dealt`: its shares, as it marked them, are not those of the secret that it committed to. `gave`: its answer holds a share that is
   * not the one it took. `boxed`: so many complain of its boxes that a sum with it could not be opened.
   */
  readonly what: 'dealt' | 'gave' | 'boxed';
}

/**
 * The coordinator's half of one session, all groups of it. A method that takes a body refuses it by throwing and then nothing has
 * changed; the participant is out of the round when its time is over. Methods that close a stage (`roster`, `delivery`, `survivors`,
 * `agreements`, `open`) leave out groups that have become too small, and throw `round/too-few-participants` or
 * `secagg/unrecoverable` when none is left.
 */
export interface ServerSession {
  /** Takes `advertisement`; the caller has authenticated the participant. */
  advertised(participant: ParticipantId, body: Uint8Array): Promise<void>;
  /** Closes the advertising. @returns the body `roster` for everyone who is in */
  roster(): Promise<Bodies>;
  /** Takes `sealed-shares`. */
  shared(participant: ParticipantId, body: Uint8Array): Promise<void>;
  /** Closes the sharing. @returns the body `delivery` for everyone who shared */
  delivery(): Promise<Bodies>;
  /** Takes `complaint`, before the participant's masked words. */
  complained(participant: ParticipantId, body: Uint8Array): Promise<void>;
  /** Adds the masked words of an exchange to the sum of the participant's group. They must be complete and authenticated. */
  masked(participant: ParticipantId, exchange: number, words: Int32Array): void;
  /** Closes the masked input. @param startHash as for the participants' `mask` @returns the body `survivors` for every survivor */
  survivors(exchange: number, startHash?: Uint8Array): Promise<Bodies>;
  /** Takes `agreement`. */
  agreed(participant: ParticipantId, body: Uint8Array): Promise<void>;
  /** Closes the agreement. @returns the body `agreements` for everyone who agreed */
  agreements(exchange: number): Promise<Bodies>;
  /** Takes `unmasking`. */
  unmasking(participant: ParticipantId, body: Uint8Array): Promise<void>;
  /** Whether every group has the answers that it takes to open the exchange's sum, so that nobody need be waited for. */
  openable(exchange: number): boolean;
  /** Recovers what is missing, takes the masks off and adds the groups up. */
  open(exchange: number): Promise<OpenedExchange>;
  /** Who has been found out, so far. */
  faults(): readonly Fault[];
  /** Whom the current stage waits for, in no order. */
  awaited(): readonly ParticipantId[];
  /** Erases every share and sum. */
  wipe(): void;
}
