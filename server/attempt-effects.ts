/**
 * Carries out what the round machine decides of one attempt: notices to participants, the sums, the stages of a masked exchange and
 * the store. What the coordinator's own part comes to goes back into the machine as an event.
 */
import { asTacitError, type ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import type { ServerMessage, ServerMessageOf } from '../protocol/messages.ts';
import { startHashOf } from '../protocol/secagg/statements.ts';
import type { AttemptContext, Outcome } from './attempt-context.ts';
import type { AttemptRecord, Where } from './attempt-record.ts';
import type { MaskedExchange } from './masked-exchange.ts';
import { askedLast } from './round-members.ts';
import type { RoundEffect, RoundState, SecureStage } from './round-state.ts';
import type { Facts, ReadyCommit, RoundSums } from './round-sums.ts';
import type { UntimedEvent } from './timed-round.ts';

/** What a participant is told to wait after an attempt that came to nothing; it is offered the next one unasked. */
export const FAILED_RETRY_MS = 1000;

/** What an attempt works with from its beginning to its end. */
export interface AttemptParts {
  readonly context: AttemptContext;
  readonly where: Where;
  readonly offer: ServerMessageOf<'offer'>;
  readonly offerHash: Uint8Array;
  readonly sums: RoundSums;
  /** Undefined when reports are sealed. */
  readonly masked: MaskedExchange | undefined;
  readonly record: AttemptRecord;
}

/** A report that was opened and found right. */
export interface VerifiedReport {
  readonly words: Int32Array;
  /** Length of the report as it came. */
  readonly bytes: number;
}

export class AttemptEffects {
  /** Resolves when the attempt has ended; never rejects. */
  readonly done: Promise<Outcome>;
  /** On its way into the sum. */
  verified: VerifiedReport | undefined;
  private readonly parts: AttemptParts;
  private readonly dispatch: (event: UntimedEvent) => void;
  private ready: ReadyCommit | undefined;
  private failure = '';
  private settle: (outcome: Outcome) => void = () => {};

  constructor(parts: AttemptParts, dispatch: (event: UntimedEvent) => void) {
    this.parts = parts;
    this.dispatch = dispatch;
    this.done = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  /** @param state that the machine is in now */
  perform(effect: RoundEffect, state: RoundState): void {
    const { context, masked, offer } = this.parts;
    switch (effect.type) {
      case 'offer':
        this.tell(effect.participants, offer);
        break;
      case 'add':
        this.attemptTo(async () => this.add(effect.participant, effect.exchange));
        break;
      case 'dismiss':
        for (const id of effect.participants) context.desk.forget(id);
        this.tellFailed(effect.participants, effect.code);
        break;
      case 'aggregate':
        this.startAggregating(effect.exchange, effect.reports.length);
        break;
      case 'secure':
        this.attemptTo(() => this.openStage(effect.stage, effect.exchange));
        break;
      case 'exchange':
        this.startExchange(effect.exchange, effect.participants);
        break;
      case 'commit':
        this.attemptTo(() => this.store());
        break;
      case 'committed':
        masked?.wipe();
        this.settle({ type: 'committed', ...this.ready! });
        break;
      case 'failed':
        this.end(effect.reason, effect.participants, state);
        break;
      case 'admit':
      case 'verify':
      case 'refuse':
        break; // answered by the request that they came from
      default:
        effect satisfies never;
    }
  }

  /** Runs the coordinator's own part; what goes wrong there fails the attempt, never the process. */
  private attemptTo(action: () => Promise<void>): void {
    action().catch((thrown: unknown) => {
      const error = asTacitError(thrown);
      this.failure = error.message;
      this.dispatch({ type: 'broke', code: error.code });
    });
  }

  private tell(ids: readonly ParticipantId[], message: ServerMessage): void {
    for (const id of ids) this.parts.context.participants.get(id)?.notify(message);
  }

  private tellFailed(ids: readonly ParticipantId[], code: ErrorCode): void {
    const { offerHash, where } = this.parts;
    this.tell(ids, { type: 'failed', offerHash, ...where, code, retryAfterMs: FAILED_RETRY_MS });
  }

  private end(code: ErrorCode, participants: readonly ParticipantId[], state: RoundState): void {
    const { context, masked, offerHash, where } = this.parts;
    masked?.wipe();
    context.desk.end(offerHash);
    this.tellFailed(participants, code);
    const absent = state.phase === 'idle' ? [] : askedLast(state.members, code);
    this.settle({ type: 'failed', attempt: where.attempt, code, message: this.failure, absent });
  }

  private add(participant: ParticipantId, exchange: number): void {
    if (!this.verified) return;
    const { context, masked, sums, record } = this.parts;
    const { words, bytes } = this.verified;
    masked?.masked(participant, exchange, words);
    sums.aggregation.add(words);
    if (exchange === 0) context.onCounted(participant);
    record.onAdded(participant, exchange, bytes, sums.aggregation.reports);
  }

  private startExchange(index: number, participants: readonly ParticipantId[]): void {
    const { context, offerHash, sums, record } = this.parts;
    context.desk.begin(offerHash, index, sums.sealedSizes());
    record.onExchange(index, participants);
    this.tell(participants, { type: 'exchange', exchange: sums.starts[index]! });
  }

  /** Sends out what a stage of the masked exchange starts from, and from when on the masked words are taken. */
  private async openStage(stage: SecureStage, exchange: number): Promise<void> {
    const { context, masked, offerHash, sums } = this.parts;
    const { desk, federation } = context;
    if (!masked) return;
    if (stage === 'agreeing') desk.end(offerHash);
    if (stage === 'unmasking') await sums.charge();
    const hashes = sums.starts[exchange]!.blobs.map(({ hash }) => hash);
    const participants = await masked.open(stage, exchange, await startHashOf(federation.crypto, hashes));
    if (stage === 'masking') desk.begin(offerHash, exchange, sums.sealedSizes());
    this.dispatch({ type: 'opened', exchange, stage, participants });
    for (const id of participants) masked.send(id);
  }

  private startAggregating(exchange: number, reports: number): void {
    const { context, masked, offerHash, sums, record } = this.parts;
    context.desk.end(offerHash);
    record.onAggregating(exchange, reports);
    this.attemptTo(async () => {
      const unmasked = await masked?.sum(exchange);
      const facts = (): Facts => record.facts(unmasked?.participants.length ?? reports);
      this.ready = await sums.close(facts, unmasked);
      this.dispatch({ type: 'aggregated', exchange, counted: unmasked?.participants });
    });
  }

  private async store(): Promise<void> {
    const { store, run } = this.parts.context.federation;
    await store.commit(run, this.ready!.commit);
    this.dispatch({ type: 'stored' });
  }
}
