/** What happens to a coordinator, as events for a command line, metrics, logs and reports. Rounds and attempts count from 0. */
import type { ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import type { Link } from '../protocol/transcript.ts';

/** What one committed round was, in numbers; also a line of the run's metrics. */
export interface RoundSummary {
  readonly round: number;
  readonly attempt: number;
  /** Reports in the aggregate. */
  readonly participants: number;
  /** Participants that accepted the offer. */
  readonly accepted: number;
  /** Weighted mean of the pretext loss over the cohort. */
  readonly loss: number;
  /** Sum of the weights. */
  readonly weight: number;
  /** L2 norm of the change of the global model, and of the new model. */
  readonly updateNorm: number;
  readonly modelNorm: number;
  readonly recruitSeconds: number;
  readonly trainSeconds: number;
  readonly aggregateSeconds: number;
  readonly seconds: number;
  /** Bytes of frames during the round, from and to all participants. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Lower-case hex of SHA-256 of the new model. */
  readonly modelHash: string;
  /** Under differential privacy: ε of one participant that was in every sum so far, exactly and by Rényi divergence. */
  readonly epsilon?: number;
  readonly epsilonRdp?: number;
}

interface InAttempt {
  readonly round: number;
  readonly attempt: number;
}

export type CoordinatorEvent =
  /** A participant joined or left; `participants` are there now. */
  | {
      readonly type: 'joined';
      readonly participant: ParticipantId;
      readonly participants: number;
      readonly platform: string;
      readonly engine: string;
    }
  | {
      readonly type: 'left';
      readonly participant: ParticipantId;
      readonly participants: number;
      readonly reason: string;
    }
  /** Nothing under way: `participants` of `needed` are there. */
  | ({ readonly type: 'waiting'; readonly participants: number; readonly needed: number } & InAttempt)
  /** Offers go out. */
  | ({ readonly type: 'recruiting'; readonly rounds: number } & InAttempt)
  | ({ readonly type: 'accepted'; readonly participant: ParticipantId; readonly accepted: number } & InAttempt)
  | ({ readonly type: 'declined'; readonly participant: ParticipantId; readonly code: ErrorCode } & InAttempt)
  /** The cohort is closed. */
  | ({ readonly type: 'training'; readonly exchange: number; readonly participants: number } & InAttempt)
  /** A verified report was added to the sum. */
  | ({
      readonly type: 'report';
      readonly participant: ParticipantId;
      readonly exchange: number;
      readonly bytes: number;
      readonly reports: number;
      /** Since the exchange was sent to this participant. */
      readonly seconds: number;
    } & InAttempt)
  /** A request or a report was refused; the round goes on. */
  | {
      readonly type: 'refused';
      readonly participant: ParticipantId;
      readonly request: string;
      readonly code: ErrorCode;
    }
  | ({ readonly type: 'aggregating'; readonly exchange: number; readonly reports: number } & InAttempt)
  | {
      readonly type: 'committed';
      readonly summary: RoundSummary;
      readonly model: Uint8Array;
      readonly rounds: number;
      /** The transcript's links that were not in an event before: this round's, after a restart those before it too. */
      readonly links: readonly Link[];
      /** The coordinator's raw Ed25519 key, which signed them. */
      readonly serverKey: Uint8Array;
    }
  /** An attempt came to nothing; another follows if `retry`. */
  | ({
      readonly type: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly retry: boolean;
    } & InAttempt)
  /** The last round is committed. */
  | { readonly type: 'finished'; readonly rounds: number; readonly modelHash: string }
  /** A connection was ended because of what it sent. */
  | { readonly type: 'dropped'; readonly remote: string; readonly code: ErrorCode };

/** What a run came to. */
export interface RunResult {
  /** Whether all rounds of the plan are committed; false after a graceful stop. */
  readonly finished: boolean;
  /** Committed rounds, those before a restart included. */
  readonly rounds: number;
  /** Lower-case hex of SHA-256 of `model`. */
  readonly modelHash: string;
  /** The aggregated parameters, safetensors. */
  readonly model: Uint8Array;
  /** Frames from and to participants since this process began. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Since this process began to run. */
  readonly seconds: number;
  /** One entry for each committed round, oldest first. */
  readonly history: readonly RoundSummary[];
}
