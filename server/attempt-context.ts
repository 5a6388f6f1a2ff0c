/** What an attempt is given, and what it comes to. */
import type { ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import type { CertificateCheck } from '../protocol/secagg/contracts.ts';
import type { UploadDesk } from '../protocol/transfer.ts';
import type { Clock } from './clock.ts';
import type { CoordinatorEvent } from './events.ts';
import type { Federation, Progress } from './federation.ts';
import type { Participants } from './participants.ts';
import type { RoundLimits } from './round-state.ts';
import type { ReadyCommit } from './round-sums.ts';
import type { Traffic } from './traffic.ts';

export interface AttemptContext {
  readonly federation: Federation;
  readonly participants: Participants;
  readonly desk: UploadDesk;
  readonly clock: Clock;
  /** All frames so far, and how many there were when the round began. */
  readonly traffic: Traffic;
  readonly trafficBefore: Traffic;
  readonly progress: Progress;
  readonly attempt: number;
  readonly limits: RoundLimits;
  /** Who could be asked now, first choice first. */
  readonly candidates: () => readonly ParticipantId[];
  /** Refuses certificates in the rosters of masked rounds; undefined where everyone may join. */
  readonly checkCertificate: CertificateCheck | undefined;
  /** A report of this participant was added to a sum. */
  readonly onCounted: (participant: ParticipantId) => void;
  /** This participant was found out: it is asked no more in this run. */
  readonly onSpoilt: (participant: ParticipantId) => void;
  readonly emit: (event: CoordinatorEvent) => void;
}

export type Outcome =
  | ({ readonly type: 'committed' } & ReadyCommit)
  | {
      readonly type: 'failed';
      readonly attempt: number;
      readonly code: ErrorCode;
      readonly message: string;
      /** Who is asked last in the next attempt. */
      readonly absent: readonly ParticipantId[];
    };
