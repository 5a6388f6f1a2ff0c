/**
 * The runner of one attempt: feeds what happens into the round machine and carries out its effects. All decisions are the
 * machine's; here are the notices, the timer, the sums and the store.
 */
import type { CryptoProvider } from '../protocol/crypto/provider.ts';
import { asTacitError, type ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import type { ServerMessageOf } from '../protocol/messages.ts';
import type { SealContext } from '../protocol/sealing/suite.ts';
import type { Fault } from '../protocol/secagg/contracts.ts';
import { startHashOf } from '../protocol/secagg/statements.ts';
import type { UploadDesk } from '../protocol/transfer.ts';
import type { AttemptContext, Outcome } from './attempt-context.ts';
import type { MaskedExchange } from './masked-exchange.ts';
import type { Participant } from './participants.ts';
import { deadlineOf, idle, transition } from './round.ts';
import { askedLast, idsOf } from './round-members.ts';
import type { Report, RoundEffect, RoundEvent, RoundState, SecureStage } from './round-state.ts';
import type { Facts, ReadyCommit, RoundSums, Unmasked } from './round-sums.ts';
import { Stopwatch } from './stopwatch.ts';

type Untimed<E> = E extends RoundEvent ? Omit<E, 'now'> : never;
type AnyEvent = Untimed<RoundEvent>;

/** What a participant is told to wait after an attempt that came to nothing; it is offered the next one unasked. */
const FAILED_RETRY_MS = 1000;

/** What is told of a participant that has been found out: the request that was wrong, and how. */
const FAULTS: Readonly<Record<Fault['what'], readonly [request: string, code: ErrorCode]>> = {
  boxed: ['sealed-shares', 'secagg/bad-share'],
  dealt: ['sealed-shares', 'secagg/unrecoverable'],
  gave: ['unmasking', 'secagg/bad-share'],
};

export class Attempt {
  /** Resolves when the attempt has ended; never rejects. */
  readonly done: Promise<Outcome>;
  readonly offerHash: Uint8Array;
  readonly sums: RoundSums;
  readonly desk: UploadDesk;
  readonly crypto: CryptoProvider;
  /** Undefined when reports are sealed. */
  readonly masked: MaskedExchange | undefined;
  private state: RoundState;
  private readonly context: AttemptContext;
  private readonly offer: ServerMessageOf<'offer'>;
  private readonly watch: Stopwatch;
  /** When each participant started on the exchange that is under way. */
  private readonly startedAt = new Map<ParticipantId, number>();
  private readonly accepted = new Set<ParticipantId>();
  /** Who has been found out. */
  private readonly named = new Set<ParticipantId>();
  /** Verified words on their way into the sum. */
  private verdict: { readonly words: Int32Array; readonly bytes: number } | undefined;
  private ready: ReadyCommit | undefined;
  private failure = '';
  private cancelTimer = (): void => {};
  private settle: (outcome: Outcome) => void = () => {};

  constructor(
    context: AttemptContext,
    offer: ServerMessageOf<'offer'>,
    offerHash: Uint8Array,
    sums: RoundSums,
    masked: MaskedExchange | undefined,
  ) {
    this.context = context;
    this.offer = offer;
    this.offerHash = offerHash;
    this.sums = sums;
    this.masked = masked;
    this.desk = context.desk;
    this.crypto = context.federation.crypto;
    this.watch = new Stopwatch(context.clock);
    this.state = idle(offer.offer.round, offer.offer.attempt, context.limits);
    this.done = new Promise((resolve) => {
      this.settle = resolve;
    });
    if (!masked) this.desk.begin(offerHash, 0, sums.sealedSizes());
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
    return Number.isFinite(due) ? Math.max(FAILED_RETRY_MS, due - this.context.clock.now()) : FAILED_RETRY_MS;
  }

  /** The pool of participants has changed, or the attempt may begin. */
  refresh(): void {
    if (this.phase === 'idle' || this.phase === 'recruiting') {
      this.dispatch({ type: 'candidates', ranked: this.context.candidates() });
    }
  }

  /** A participant has joined: if it was accepted before its connection broke, it is offered its place again. */
  onJoin(participant: Participant): void {
    const member = this.state.phase === 'idle' ? undefined : this.state.members.get(participant.id);
    this.dispatch({ type: 'back', participant: participant.id });
    const waits = member?.standing === 'working' || (this.masked !== undefined && member?.standing === 'reported');
    if (waits && this.takesReports) participant.notify(this.offer);
    this.refresh();
  }

  onLeave(id: ParticipantId): void {
    this.dispatch({ type: 'away', participant: id });
    this.refresh();
  }

  onAccepted(participant: ParticipantId): void {
    if (this.accepted.has(participant)) return;
    this.accepted.add(participant);
    this.startedAt.set(participant, this.context.clock.now());
    this.context.emit({ type: 'accepted', participant, accepted: this.accepted.size, ...this.where });
  }

  onDeclined(participant: ParticipantId, code: ErrorCode): void {
    this.context.emit({ type: 'declined', participant, code, ...this.where });
  }

  /** A report was opened and found right. */
  verified(report: Report, words: Int32Array, bytes: number): readonly RoundEffect[] {
    this.verdict = { words, bytes };
    const effects = this.dispatch({ type: 'verified', ...report });
    this.verdict = undefined;
    return effects;
  }

  /** Fails the attempt, unless its commit has begun. */
  cancel(): void {
    this.dispatch({ type: 'cancel' });
  }

  fail(code: ErrorCode): void {
    this.dispatch({ type: 'broke', code });
  }

  sealContext(participant: Uint8Array, exchange: number): SealContext {
    const { task, round, attempt, planHash, modelHash } = this.offer.offer;
    return { participant, task, round, attempt, exchange, planHash, modelHash, offerHash: this.offerHash };
  }

  // ------------------------------------------------------------------ the machine

  /** What the machine would answer, without moving it. */
  preview(event: AnyEvent): readonly RoundEffect[] {
    return transition(this.state, { ...event, now: this.context.clock.now() } as RoundEvent).effects;
  }

  /** Moves the machine and carries out its effects; those that answer a request are left to the caller. */
  dispatch(event: AnyEvent): readonly RoundEffect[] {
    const before = this.state;
    const { clock } = this.context;
    const { state, effects } = transition(before, { ...event, now: clock.now() } as RoundEvent);
    this.state = state;
    if (state.phase !== before.phase) {
      this.watch.enter(state.phase);
      this.announce(before, state);
    }
    for (const effect of effects) this.perform(effect);
    this.cancelTimer();
    const due = deadlineOf(this.state);
    if (Number.isFinite(due)) {
      this.cancelTimer = clock.after(due - clock.now(), () => void this.dispatch({ type: 'tick' }));
    }
    return effects;
  }

  get where(): { readonly round: number; readonly attempt: number } {
    return { round: this.state.round, attempt: this.state.attempt };
  }

  private announce(before: RoundState, state: RoundState): void {
    const { emit, federation } = this.context;
    if (before.phase === 'idle' && state.phase !== 'failed') {
      emit({ type: 'recruiting', rounds: federation.plan.rounds.count, ...this.where });
    }
    if (state.phase === 'training' && before.phase !== 'aggregating') {
      const participants = idsOf(state.members, 'working', 'verifying', 'reported').length;
      emit({ type: 'training', exchange: 0, participants, ...this.where });
    }
  }

  private perform(effect: RoundEffect): void {
    switch (effect.type) {
      case 'offer':
        for (const id of effect.participants) this.participant(id)?.notify(this.offer);
        break;
      case 'add':
        this.attemptTo(async () => this.add(effect.participant, effect.exchange));
        break;
      case 'dismiss':
        for (const id of effect.participants) this.desk.forget(id);
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
        this.masked?.wipe();
        this.settle({ type: 'committed', ...this.ready! });
        break;
      case 'failed':
        this.masked?.wipe();
        this.desk.end(this.offerHash);
        this.tellFailed(effect.participants, effect.reason);
        this.settle({
          type: 'failed',
          attempt: this.where.attempt,
          code: effect.reason,
          message: this.failure,
          absent: this.state.phase === 'idle' ? [] : askedLast(this.state.members, effect.reason),
        });
        break;
      default:
        // `admit`, `verify` and `refuse` are answered by the request that they came from.
        break;
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

  private participant(id: ParticipantId): Participant | undefined {
    return this.context.participants.get(id);
  }

  private tellFailed(ids: readonly ParticipantId[], code: ErrorCode): void {
    const failed = {
      type: 'failed',
      offerHash: this.offerHash,
      ...this.where,
      code,
      retryAfterMs: FAILED_RETRY_MS,
    } as const;
    for (const id of ids) this.participant(id)?.notify(failed);
  }

  // ------------------------------------------------------------------ exchanges

  private add(participant: ParticipantId, exchange: number): void {
    if (!this.verdict) return;
    const { words, bytes } = this.verdict;
    this.masked?.masked(participant, exchange, words);
    this.sums.aggregation.add(words);
    if (exchange === 0) this.context.onCounted(participant);
    const seconds = (this.context.clock.now() - (this.startedAt.get(participant) ?? 0)) / 1000;
    const { reports } = this.sums.aggregation;
    this.context.emit({ type: 'report', participant, exchange, bytes, reports, seconds, ...this.where });
  }

  private startAggregating(exchange: number, reports: number): void {
    this.desk.end(this.offerHash);
    this.context.emit({ type: 'aggregating', exchange, reports, ...this.where });
    this.attemptTo(async () => {
      const unmasked = await this.unmask(exchange);
      this.ready = await this.sums.close(() => this.facts(unmasked?.participants.length ?? reports), unmasked);
      this.dispatch({ type: 'aggregated', exchange, counted: unmasked?.participants });
    });
  }

  /** Takes the masks off the sum of an exchange, if there are any. */
  private async unmask(exchange: number): Promise<Unmasked | undefined> {
    try {
      return await this.masked?.sum(exchange);
    } finally {
      this.nameFaults();
    }
  }

  /** Says who has been found out, and asks them no more in this run. */
  private nameFaults(): void {
    for (const { participant, what } of this.masked?.faults ?? []) {
      if (this.named.has(participant)) continue;
      this.named.add(participant);
      const [request, code] = FAULTS[what];
      this.context.emit({ type: 'refused', participant, request, code });
      this.context.onSpoilt(participant);
    }
  }

  /** Boxes were complained of. If so many of them that a sum with their dealer could not be opened, the attempt ends here. */
  onComplaint(): void {
    this.nameFaults();
    if (this.named.size > 0) this.fail('secagg/bad-share');
  }

  /** Sends out what a stage of the masked exchange starts from, and from when on the masked words are taken. */
  private async openStage(stage: SecureStage, exchange: number): Promise<void> {
    const { masked, sums, desk, offerHash } = this;
    if (!masked) return;
    if (stage === 'agreeing') desk.end(offerHash);
    if (stage === 'unmasking') await sums.charge();
    const hashes = sums.starts[exchange]!.blobs.map(({ hash }) => hash);
    const participants = await masked.open(stage, exchange, await startHashOf(this.crypto, hashes));
    if (stage === 'masking') desk.begin(offerHash, exchange, sums.sealedSizes());
    this.dispatch({ type: 'opened', exchange, stage, participants });
    for (const id of participants) masked.send(id);
  }

  /** An answer of a masked exchange was found right. */
  answered(report: Report): readonly RoundEffect[] {
    const effects = this.dispatch({ type: 'verified', ...report });
    const { exchange } = report;
    if (report.stage === 'unmasking' && this.masked?.isEnough(exchange)) this.dispatch({ type: 'enough', exchange });
    return effects;
  }

  private startExchange(index: number, participants: readonly ParticipantId[]): void {
    const now = this.context.clock.now();
    this.desk.begin(this.offerHash, index, this.sums.sealedSizes());
    this.context.emit({ type: 'training', exchange: index, participants: participants.length, ...this.where });
    for (const id of participants) {
      this.startedAt.set(id, now);
      this.participant(id)?.notify({ type: 'exchange', exchange: this.sums.starts[index]! });
    }
  }

  private facts(participants: number): Facts {
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

  private async store(): Promise<void> {
    const { store, run } = this.context.federation;
    await store.commit(run, this.ready!.commit);
    this.dispatch({ type: 'stored' });
  }
}
