/** What is said of an attempt while it goes on, and kept of it in the end: events, times and volumes. */
import type { ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import type { AttemptContext } from './attempt-context.ts';
import { countIn } from './round-members.ts';
import type { RoundState } from './round-state.ts';
import type { Facts } from './round-sums.ts';
import { Stopwatch } from './stopwatch.ts';

/** Which attempt at which round. */
export interface Where {
  readonly round: number;
  readonly attempt: number;
}

export class AttemptRecord {
  private readonly context: AttemptContext;
  private readonly where: Where;
  private readonly watch: Stopwatch;
  /** When each participant started on the exchange that is under way. */
  private readonly startedAt = new Map<ParticipantId, number>();
  private readonly accepted = new Set<ParticipantId>();

  constructor(context: AttemptContext, where: Where) {
    this.context = context;
    this.where = where;
    this.watch = new Stopwatch(context.clock);
  }

  onStep(before: RoundState, after: RoundState): void {
    if (after.phase === before.phase) return;
    this.watch.enter(after.phase);
    const { emit, federation } = this.context;
    if (before.phase === 'idle' && after.phase !== 'failed') {
      emit({ type: 'recruiting', rounds: federation.plan.rounds.count, ...this.where });
    }
    if (after.phase === 'training' && before.phase !== 'aggregating') {
      const participants = countIn(after.members);
      emit({ type: 'training', exchange: 0, participants, ...this.where });
    }
  }

  /** An offer was accepted; once more by one that came back is no news. */
  onAccepted(participant: ParticipantId): void {
    if (this.accepted.has(participant)) return;
    this.accepted.add(participant);
    this.startedAt.set(participant, this.context.clock.now());
    this.context.emit({ type: 'accepted', participant, accepted: this.accepted.size, ...this.where });
  }

  onDeclined(participant: ParticipantId, code: ErrorCode): void {
    this.context.emit({ type: 'declined', participant, code, ...this.where });
  }

  /** A further exchange has started. */
  onExchange(exchange: number, participants: readonly ParticipantId[]): void {
    const now = this.context.clock.now();
    this.context.emit({ type: 'training', exchange, participants: participants.length, ...this.where });
    for (const id of participants) this.startedAt.set(id, now);
  }

  /** A report of so many bytes was added to a sum, which now holds so many. */
  onAdded(participant: ParticipantId, exchange: number, bytes: number, reports: number): void {
    const seconds = (this.context.clock.now() - (this.startedAt.get(participant) ?? 0)) / 1000;
    this.context.emit({ type: 'report', participant, exchange, bytes, reports, seconds, ...this.where });
  }

  onAggregating(exchange: number, reports: number): void {
    this.context.emit({ type: 'aggregating', exchange, reports, ...this.where });
  }

  /** The figures of the commit record of a sum of so many participants. */
  facts(participants: number): Facts {
    const { traffic, trafficBefore } = this.context;
    const { recruiting, training, securing, aggregating } = this.watch.seconds();
    return {
      ...this.where,
      participants,
      accepted: this.accepted.size,
      recruitSeconds: recruiting,
      trainSeconds: training,
      aggregateSeconds: securing + aggregating,
      seconds: recruiting + training + securing + aggregating,
      bytesUp: traffic.up - trafficBefore.up,
      bytesDown: traffic.down - trafficBefore.down,
    };
  }
}
