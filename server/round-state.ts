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
}

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
 * The cohort is closed and computes the report of one exchange.
 * Secure aggregation adds a phase `securing` between this one and `aggregating`: training ends with the members that are ready,
 * and the report is then exchanged under masks (advertise, share, upload, agree, unmask) before there is a sum to aggregate.
 */
export interface Training extends Attempt {
  readonly phase: 'training';
  readonly exchange: number;
  readonly members: Members;
  readonly startedAt: number;
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

export type RoundState = Idle | Recruiting | Training | Aggregating | Committed | Failed;

/** What can happen; each event carries the time at which it did. */
export type RoundEvent = { readonly now: number } & (
  | { readonly type: 'candidates'; readonly ranked: readonly ParticipantId[] }
  | { readonly type: 'accept'; readonly participant: ParticipantId }
  | { readonly type: 'decline'; readonly participant: ParticipantId; readonly code: ErrorCode }
  /** Its connection broke. */
  | { readonly type: 'away'; readonly participant: ParticipantId }
  | { readonly type: 'back'; readonly participant: ParticipantId }
  /** Its report for an exchange is here as a whole, and not looked at yet. */
  | { readonly type: 'report'; readonly participant: ParticipantId; readonly exchange: number }
  | { readonly type: 'verified'; readonly participant: ParticipantId; readonly exchange: number }
  | {
      readonly type: 'rejected';
      readonly participant: ParticipantId;
      readonly exchange: number;
      readonly code: ErrorCode;
    }
  /** The sum of an exchange was opened and used. */
  | { readonly type: 'aggregated'; readonly exchange: number }
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
  | { readonly type: 'verify'; readonly participant: ParticipantId; readonly exchange: number }
  /** The verified report counts: add it to the sum. */
  | { readonly type: 'add'; readonly participant: ParticipantId; readonly exchange: number }
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
