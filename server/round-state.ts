/**
 * The states, events and effects of one attempt at one round: data only, no behaviour.
 * Times are milliseconds of a monotonic clock that the caller reads; nothing here knows what time it is.
 */
import type { ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';

/** Counts and durations that bound an attempt. */
export interface RoundLimits {
  /** Candidates that must be there before the round opens. */
  readonly startWith: number;
  /** Reports that are wanted; the round closes with them unless `waitForAll`. */
  readonly cohort: number;
  /** Participants that are asked: the cohort and its over-selection, never more than the plan's `maxCohort`. */
  readonly target: number;
  /** The fewest reports with which the round is committed. */
  readonly minReports: number;
  /** Whether every accepted participant is awaited, until the deadline. */
  readonly waitForAll: boolean;
  /** Uploads in the round: one, or two when statistics come first. */
  readonly exchanges: number;
  readonly recruitMs: number;
  /** For each exchange. */
  readonly trainMs: number;
  /** How long a participant whose connection broke may take to come back. */
  readonly graceMs: number;
  /** How long recruiting looks out for latecomers once all that are there have answered, and they are enough. */
  readonly settleMs: number;
  /** How long opening the reports that came in time, and computing from their sum, may take. */
  readonly aggregateMs: number;
  /** Whether reports are masked: who is ready with its training then goes through the stages of `Securing`. */
  readonly secure: boolean;
  /** How long one stage of `Securing` waits for the answers of participants. */
  readonly stageMs: number;
}

/** What the participants of a masked exchange are asked for, one after the other; the first of them in the first exchange only. */
export type SecureStage = 'sharing' | 'masking' | 'agreeing' | 'unmasking';

/** Where a participant stands within an attempt. Who is `out` stays listed, so that its late frames get the right answer. */
export type Member =
  | { readonly standing: 'offered' }
  | { readonly standing: 'working' | 'verifying' | 'reported'; readonly awaySince: number | null }
  | { readonly standing: 'out'; readonly code: ErrorCode };

export type Members = ReadonlyMap<ParticipantId, Member>;

interface Attempt {
  readonly round: number;
  readonly attempt: number;
  readonly limits: RoundLimits;
}

/** Nothing is under way; the round opens when enough candidates are there. */
export interface Idle extends Attempt {
  readonly phase: 'idle';
}

/** Offers are out. Who accepts starts at once, so reports may come before recruiting ends. */
export interface Recruiting extends Attempt {
  readonly phase: 'recruiting';
  /** All that could be asked, in the sampler's order. */
  readonly candidates: readonly ParticipantId[];
  readonly members: Members;
  /** When a participant last came, accepted or went. */
  readonly changedAt: number;
  readonly endsAt: number;
}

/**
 * The cohort is closed and computes the report of one exchange. Under masks the first exchange ends with keys instead of reports:
 * who is ready advertises, so that the stages of `Securing`, in which every loss costs something, take seconds.
 */
export interface Training extends Attempt {
  readonly phase: 'training';
  readonly exchange: number;
  readonly members: Members;
  readonly startedAt: number;
  readonly endsAt: number;
}

/**
 * The exchange under masks between those that were ready. `opening`: the coordinator closes the stage before and sends out what this
 * one starts from; `open`: answers come in. A member is `working` while its answer is awaited and `reported` once it is in.
 */
export interface Securing extends Attempt {
  readonly phase: 'securing';
  readonly stage: SecureStage;
  readonly step: 'opening' | 'open';
  readonly exchange: number;
  readonly members: Members;
  /** Whose masked words are in the sum, once no more are taken. */
  readonly survivors: readonly ParticipantId[];
  /** Unmasking can do without those that are away. */
  readonly enough: boolean;
  readonly endsAt: number;
}

/** The sum of one exchange is complete. `summing`: it is being opened and used; `storing`: the new model is being made durable. */
export interface Aggregating extends Attempt {
  readonly phase: 'aggregating';
  readonly step: 'summing' | 'storing';
  readonly exchange: number;
  readonly members: Members;
  readonly reports: readonly ParticipantId[];
  /** Holds for `summing`; a store that has begun to write is waited for, since a commit cannot be taken back. */
  readonly endsAt: number;
}

export interface Committed extends Attempt {
  readonly phase: 'committed';
  readonly members: Members;
  readonly reports: readonly ParticipantId[];
}

export interface Failed extends Attempt {
  readonly phase: 'failed';
  readonly reason: ErrorCode;
  readonly members: Members;
}

export type RoundState = Idle | Recruiting | Training | Securing | Aggregating | Committed | Failed;

/** What a participant has delivered. */
export interface Report {
  readonly participant: ParticipantId;
  readonly exchange: number;
  /** Undefined: what ends its training, a report or, before masks, its keys. */
  readonly stage?: SecureStage | undefined;
}

/** What can happen; each event carries the time at which it did. */
export type RoundEvent = { readonly now: number } & (
  | { readonly type: 'candidates'; readonly ranked: readonly ParticipantId[] }
  | { readonly type: 'accept'; readonly participant: ParticipantId }
  | { readonly type: 'decline'; readonly participant: ParticipantId; readonly code: ErrorCode }
  /** Its connection broke. */
  | { readonly type: 'away'; readonly participant: ParticipantId }
  | { readonly type: 'back'; readonly participant: ParticipantId }
  /** Its report for an exchange, or its answer to a stage of it, is here as a whole, and not looked at yet. */
  | ({ readonly type: 'report' } & Report)
  | ({ readonly type: 'verified' } & Report)
  | ({ readonly type: 'rejected'; readonly code: ErrorCode } & Report)
  /** What a stage starts from has gone out to these participants. */
  | {
      readonly type: 'opened';
      readonly exchange: number;
      readonly stage: SecureStage;
      readonly participants: readonly ParticipantId[];
    }
  /** There are as many answers as unmasking takes. */
  | { readonly type: 'enough'; readonly exchange: number }
  /** The sum of an exchange was opened and used; `counted`: whose reports are in it, where a group of them may have been lost. */
  | {
      readonly type: 'aggregated';
      readonly exchange: number;
      readonly counted?: readonly ParticipantId[] | undefined;
    }
  /** The store says that the new model is durable. */
  | { readonly type: 'stored' }
  /** The coordinator's own part went wrong. */
  | { readonly type: 'broke'; readonly code: ErrorCode }
  | { readonly type: 'cancel' }
  | { readonly type: 'tick' }
);

/** What the runner must do. `admit`, `verify` and `refuse` answer the request of the event they came from. */
export type RoundEffect =
  | { readonly type: 'offer'; readonly participants: readonly ParticipantId[] }
  | { readonly type: 'admit'; readonly participant: ParticipantId; readonly exchange: number }
  | {
      readonly type: 'refuse';
      readonly participant: ParticipantId;
      readonly code: ErrorCode;
      readonly retryAfterMs: number;
    }
  | ({ readonly type: 'verify' } & Report)
  /** The verified report counts: add it to the sum. */
  | ({ readonly type: 'add' } & Report)
  /** A stage begins: close what was before it, and send out what it starts from. */
  | { readonly type: 'secure'; readonly exchange: number; readonly stage: SecureStage }
  /** Not needed (any more) in this attempt. */
  | { readonly type: 'dismiss'; readonly participants: readonly ParticipantId[]; readonly code: ErrorCode }
  | { readonly type: 'aggregate'; readonly exchange: number; readonly reports: readonly ParticipantId[] }
  /** A later exchange starts. */
  | { readonly type: 'exchange'; readonly exchange: number; readonly participants: readonly ParticipantId[] }
  | { readonly type: 'commit'; readonly reports: readonly ParticipantId[] }
  | { readonly type: 'committed'; readonly reports: readonly ParticipantId[] }
  | { readonly type: 'failed'; readonly reason: ErrorCode; readonly participants: readonly ParticipantId[] };

export interface Step {
  readonly state: RoundState;
  readonly effects: readonly RoundEffect[];
}
