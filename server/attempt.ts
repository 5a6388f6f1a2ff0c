/**
 * One attempt at a round as the rest of the coordinator sees it: how it stands, and what may happen to it. All decisions are the
 * round machine's.
 */
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import type { SealContext } from '../protocol/sealing/suite.ts';
import type { UploadDesk } from '../protocol/transfer.ts';
import type { Outcome } from './attempt-context.ts';
import { AttemptEffects, type AttemptParts, FAILED_RETRY_MS, type VerifiedReport } from './attempt-effects.ts';
import type { AttemptRecord, Where } from './attempt-record.ts';
import type { MaskedExchange } from './masked-exchange.ts';
import type { Participant } from './participants.ts';
import { deadlineOf, idle } from './round.ts';
import type { Report, RoundEffect, RoundState } from './round-state.ts';
import type { RoundSums } from './round-sums.ts';
import { TimedRound, type UntimedEvent } from './timed-round.ts';

export class Attempt {
  private readonly parts: AttemptParts;
  private readonly round: TimedRound;
  private readonly effects: AttemptEffects;

  constructor(parts: AttemptParts) {
    const { context, where, offerHash, sums, masked, record } = parts;
    this.parts = parts;
    this.effects = new AttemptEffects(parts, (event) => void this.dispatch(event));
    this.round = new TimedRound(
      idle(where.round, where.attempt, context.limits),
      context.clock,
      (before, after, all) => {
        record.onStep(before, after);
        for (const effect of all) this.effects.perform(effect, this.state);
      },
    );
    if (!masked) context.desk.begin(offerHash, 0, sums.sealedSizes());
  }

  // ------------------------------------------------------------------ what it works with

  get where(): Where {
    return this.parts.where;
  }

  get offerHash(): Uint8Array {
    return this.parts.offerHash;
  }

  get sums(): RoundSums {
    return this.parts.sums;
  }

  /** Undefined when reports are sealed. */
  get masked(): MaskedExchange | undefined {
    return this.parts.masked;
  }

  get record(): AttemptRecord {
    return this.parts.record;
  }

  get desk(): UploadDesk {
    return this.parts.context.desk;
  }

  get crypto(): CryptoProvider {
    return this.parts.context.federation.crypto;
  }

  sealContext(participant: Uint8Array, exchange: number): SealContext {
    const { task, round, attempt, planHash, modelHash } = this.parts.offer.offer;
    return { participant, task, round, attempt, exchange, planHash, modelHash, offerHash: this.offerHash };
  }

  // ------------------------------------------------------------------ how it stands

  /** Resolves when the attempt has ended; never rejects. */
  get done(): Promise<Outcome> {
    return this.effects.done;
  }

  private get state(): RoundState {
    return this.round.state;
  }

  get phase(): RoundState['phase'] {
    return this.state.phase;
  }

  /** Candidates that the round waits for before it opens. */
  get needed(): number {
    return Math.max(1, this.state.limits.startWith);
  }

  /** Whether the cohort is closed, without this participant. */
  isClosedTo(participant: ParticipantId): boolean {
    const { state } = this;
    const closed = state.phase === 'training' || state.phase === 'securing' || state.phase === 'aggregating';
    return closed && !state.members.has(participant);
  }

  get takesReports(): boolean {
    return this.phase === 'recruiting' || this.phase === 'training' || this.phase === 'securing';
  }

  /** Milliseconds until this attempt ends at the latest by itself, for pace steering. */
  get leftMs(): number {
    const due = deadlineOf(this.state);
    return Number.isFinite(due) ? Math.max(FAILED_RETRY_MS, due - this.parts.context.clock.now()) : FAILED_RETRY_MS;
  }

  // ------------------------------------------------------------------ what happens to it

  /** What the machine would answer, without moving it. */
  preview(event: UntimedEvent): readonly RoundEffect[] {
    return this.round.preview(event);
  }

  /** Moves the machine and carries out its effects; those that answer a request are left to the caller. */
  dispatch(event: UntimedEvent): readonly RoundEffect[] {
    return this.round.dispatch(event);
  }

  /** The pool of participants has changed, or the attempt may begin. */
  refresh(): void {
    if (this.phase === 'idle' || this.phase === 'recruiting') {
      this.dispatch({ type: 'candidates', ranked: this.parts.context.candidates() });
    }
  }

  /** A participant has joined: if it was accepted before its connection broke, it is offered its place again. */
  onJoin(participant: Participant): void {
    const member = this.state.phase === 'idle' ? undefined : this.state.members.get(participant.id);
    this.dispatch({ type: 'back', participant: participant.id });
    const waits = member?.standing === 'working' || (this.masked !== undefined && member?.standing === 'reported');
    if (waits && this.takesReports) participant.notify(this.parts.offer);
    this.refresh();
  }

  onLeave(id: ParticipantId): void {
    this.dispatch({ type: 'away', participant: id });
    this.refresh();
  }

  /** A report was opened and found right. */
  verified(report: Report, verified: VerifiedReport): readonly RoundEffect[] {
    this.effects.verified = verified;
    const effects = this.dispatch({ type: 'verified', ...report });
    this.effects.verified = undefined;
    return effects;
  }

  /** An answer of a masked exchange was found right. */
  answered(report: Report): readonly RoundEffect[] {
    const effects = this.dispatch({ type: 'verified', ...report });
    const { exchange } = report;
    if (report.stage === 'unmasking' && this.masked?.isEnough(exchange)) this.dispatch({ type: 'enough', exchange });
    return effects;
  }

  /** Boxes were complained of. If so many of them that a sum with their dealer could not be opened, the attempt ends here. */
  onComplaint(): void {
    if (this.masked?.isSpoilt) this.fail('secagg/bad-share');
  }

  /** Fails the attempt, unless its commit has begun. */
  cancel(): void {
    this.dispatch({ type: 'cancel' });
  }

  fail(code: ErrorCode): void {
    this.dispatch({ type: 'broke', code });
  }
}
