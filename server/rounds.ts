/**
 * Round after round of a run: attempts until one is committed, what is committed kept as the next round's beginning, and an end when
 * all rounds are done, another attempt cannot help, or the coordinator stops.
 */
import { type ErrorCode, TacitError } from '../protocol/errors.ts';
import type { CertificateCheck } from '../protocol/secagg/contracts.ts';
import type { Link } from '../protocol/transcript.ts';
import type { UploadDesk } from '../protocol/transfer.ts';
import type { Attempt } from './attempt.ts';
import type { Outcome } from './attempt-context.ts';
import { beginAttempt } from './begin-attempt.ts';
import type { Clock } from './clock.ts';
import type { CoordinatorOptions } from './coordinator-options.ts';
import type { CoordinatorEvent, RoundSummary } from './events.ts';
import { type Federation, type Progress, resume, summaryOf } from './federation.ts';
import type { Lobby } from './lobby.ts';
import { limitsOf } from './round-limits.ts';
import type { Traffic } from './traffic.ts';
import type { TransferBudget } from './transfer-budget.ts';

const MAX_RETRY_MS = 30_000;
/** What another attempt cannot change. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['round/too-many-contributions', 'privacy/budget-spent']);

export interface RoundsContext {
  readonly federation: Federation;
  readonly options: CoordinatorOptions;
  readonly clock: Clock;
  readonly lobby: Lobby;
  readonly desk: UploadDesk;
  readonly traffic: Traffic;
  readonly budget: TransferBudget;
  readonly checkCertificate: CertificateCheck | undefined;
  readonly emit: (event: CoordinatorEvent) => void;
}

export class Rounds {
  readonly history: RoundSummary[] = [];
  readonly links: Link[] = [];
  private readonly context: RoundsContext;
  private current: Progress;
  private underWay: Attempt | undefined;
  private stopped = false;
  /** Links that an event has announced. */
  private announced = 0;
  /** Whether this process has run no round yet. */
  private first = true;
  /** Ends the pause between two attempts. */
  private wake = (): void => {};

  private constructor(context: RoundsContext, progress: Progress) {
    this.context = context;
    this.current = progress;
  }

  /** The rounds of a run, from where its store says that they stand. */
  static async open(context: RoundsContext): Promise<Rounds> {
    const { federation, options } = context;
    const rounds = new Rounds(context, await resume(federation, options.initialModel));
    for (const commit of await options.store.history(federation.run)) {
      rounds.history.push(summaryOf(commit));
      rounds.links.push({ offer: commit.offer, commit: commit.record });
    }
    return rounds;
  }

  get progress(): Progress {
    return this.current;
  }

  /** The attempt that is under way. */
  get attempt(): Attempt | undefined {
    return this.underWay;
  }

  get areDone(): boolean {
    return this.current.version >= this.context.federation.plan.rounds.count;
  }

  /** Runs what is left of them, unless told to stop. @throws TacitError run/failed when a round cannot be committed */
  async run(): Promise<void> {
    while (!this.stopped && !this.areDone) {
      await this.runRound();
      this.first = false;
    }
  }

  /** Ends the attempt under way, unless its commit has begun, and `run` with it. */
  stop(): void {
    this.stopped = true;
    this.wake();
    this.underWay?.cancel();
  }

  private async runRound(): Promise<void> {
    const { federation, options, traffic } = this.context;
    const trafficBefore = { ...traffic };
    let pauseMs = options.retryMs ?? 1000;
    for (let failures = 1; !this.stopped; failures++) {
      const outcome = await this.runAttempt(trafficBefore);
      if (outcome.type === 'committed') return this.onCommitted(outcome);
      const retry = !this.stopped && failures < federation.plan.rounds.maxAttempts && !FINAL.has(outcome.code);
      this.onFailed(outcome, retry);
      if (this.stopped) return;
      if (!retry) {
        throw new TacitError(
          'run/failed',
          `round ${this.current.version + 1} failed ${failures} times, last with ${outcome.code}`,
          outcome.message ? { hint: outcome.message } : {},
        );
      }
      await this.pause(pauseMs);
      pauseMs = Math.min(MAX_RETRY_MS, 2 * pauseMs);
    }
  }

  private async runAttempt(trafficBefore: Traffic): Promise<Outcome> {
    const { federation, options, lobby, desk, clock, traffic, budget, checkCertificate, emit } = this.context;
    const { plan, exchanges, store, run } = federation;
    const { current: progress, first } = this;
    const attempt = await beginAttempt({
      ...{ federation, participants: lobby.participants, desk, clock, traffic, trafficBefore, progress },
      attempt: await store.beginAttempt(run, progress.version),
      limits: limitsOf(plan, { ...options, first, exchanges: exchanges.length, excluded: lobby.excludedCount }),
      candidates: () => lobby.candidates(progress.version),
      checkCertificate,
      onCounted: (id) => lobby.onCounted(id),
      onSpoilt: (id) => lobby.exclude(id),
      emit,
    });
    this.underWay = attempt;
    const { down, up } = attempt.sums.volume();
    budget.reset({ down: down + 32 * federation.planRef.bytes, up });
    if (this.stopped) attempt.cancel();
    attempt.refresh();
    lobby.checkCandidates();
    const outcome = await attempt.done;
    this.underWay = undefined;
    return outcome;
  }

  private onCommitted({ progress, summary, commit }: Extract<Outcome, { type: 'committed' }>): void {
    const { options, lobby, emit } = this.context;
    this.current = progress;
    this.history.push(summary);
    this.links.push({ offer: commit.offer, commit: commit.record });
    lobby.onNewModel();
    lobby.tellAll({ type: 'committed', commit: commit.record });
    const links = this.links.slice(this.announced);
    this.announced = this.links.length;
    const { model } = progress;
    const { count: rounds } = options.plan.rounds;
    emit({ type: 'committed', summary, model, rounds, links, serverKey: options.identity.publicKey });
  }

  private onFailed({ attempt, code, message, absent }: Extract<Outcome, { type: 'failed' }>, retry: boolean): void {
    const { lobby, emit } = this.context;
    const round = this.current.version;
    lobby.onFailure(round, absent);
    emit({ type: 'failed', round, attempt, code, message, retry });
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.context.clock.after(ms, resolve);
      this.wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
