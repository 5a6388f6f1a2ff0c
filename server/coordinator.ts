/**
 * The coordinator of one federated run: takes connections into service, runs round after round through attempts, keeps what is
 * committed, and in the end gives the model to whoever stayed. Everything is driven by events; nothing is polled.
 */
import { toHex } from '../protocol/bytes.ts';
import { certificateCheckOf, certificateMarginSeconds } from '../protocol/certificate.ts';
import { type ErrorCode, TacitError } from '../protocol/errors.ts';
import { describeFederation, type FederationInfo } from '../protocol/federation-info.ts';
import { fingerprintOf, finishedStatement } from '../protocol/identity.ts';
import type { Fingerprint } from '../protocol/ids.ts';
import type { ServerMessage, ServerMessageOf } from '../protocol/messages.ts';
import type { CertificateCheck } from '../protocol/secagg/contracts.ts';
import type { Link } from '../protocol/transcript.ts';
import { createUploadDesk, type UploadDesk } from '../protocol/transfer.ts';
import type { Listener } from '../protocol/transport.ts';
import type { Attempt } from './attempt.ts';
import type { Outcome } from './attempt-context.ts';
import { beginAttempt } from './begin-attempt.ts';
import { type Clock, systemClock } from './clock.ts';
import { uniformSampler } from './cohort.ts';
import type { Coordinator, CoordinatorOptions, Status } from './coordinator-options.ts';
import type { CoordinatorEvent, RoundSummary, RunResult } from './events.ts';
import { type Federation, openFederation, type Progress, resume, summaryOf } from './federation.ts';
import { Lobby } from './lobby.ts';
import { serveRequest } from './requests.ts';
import { limitsOf } from './round-limits.ts';
import { openSession, type SessionContext } from './session.ts';
import { createSpill, type Spill } from './spill.ts';
import type { Traffic } from './traffic.ts';
import { transferBudget } from './transfer-budget.ts';

const MAX_RETRY_MS = 30_000;
/** What another attempt cannot change. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['round/too-many-contributions', 'privacy/budget-spent']);
/** The coordinator goes away; after so long a participant may look whether it is back. */
const STOPPED: ServerMessage = { type: 'wait', code: 'round/cancelled', retryAfterMs: 10_000 };

/** Prepares a coordinator; it begins with `run`. */
export function createCoordinator(options: CoordinatorOptions): Coordinator {
  return new Run(options);
}

class Run implements Coordinator {
  private readonly options: CoordinatorOptions;
  private readonly clock: Clock;
  private readonly listeners: readonly Listener[];
  private readonly traffic: Traffic = { up: 0, down: 0 };
  private readonly budget = transferBudget();
  private readonly lobby: Lobby;
  private readonly desk: UploadDesk;
  private readonly spill: Spill;
  private readonly history: RoundSummary[] = [];
  private readonly links: Link[] = [];
  /** Links that an event has announced. */
  private announced = 0;
  private federation: Federation | undefined;
  private fingerprint: Fingerprint | undefined;
  private progress: Progress | undefined;
  private checkCertificate: CertificateCheck | undefined;
  /** Whether this process has run no round yet. */
  private first = true;
  private attempt: Attempt | undefined;
  private finished: ServerMessageOf<'finished'> | undefined;
  private stopped = false;
  private running: Promise<RunResult> | undefined;
  /** Ends the pause between two attempts. */
  private wake = (): void => {};
  /** Tells those who wait for the last participant to leave. */
  private onEmpty = (): void => {};

  constructor(options: CoordinatorOptions) {
    const { plan, listener, crypto, clock = systemClock, sampler = uniformSampler } = options;
    const { maxUploadBytes = 2 ** 28, maxSpillBytes = 2 ** 32, maxParticipants = 10_000 } = options;
    this.options = options;
    this.clock = clock;
    this.listeners = 'onConnection' in listener ? [listener] : listener;
    this.spill = createSpill(maxSpillBytes);
    const spill = (bytes: number) => this.spill.open(bytes);
    this.desk = createUploadDesk({ crypto, maxBytes: maxUploadBytes, spill, now: () => clock.now() });
    this.lobby = new Lobby({
      plan,
      sampler,
      maxParticipants,
      emit: (event) => this.emit(event),
      attempt: () => this.attempt,
      onEmpty: () => this.onEmpty(),
      greeting: () => this.finished ?? (this.stopped ? STOPPED : undefined),
    });
  }

  get status(): Status {
    const idle = this.stopped ? 'stopped' : this.finished ? 'finished' : 'starting';
    return {
      phase: this.attempt?.phase ?? idle,
      round: this.progress?.version ?? 0,
      rounds: this.options.plan.rounds.count,
      participants: this.lobby.participants.count,
      bytesUp: this.traffic.up,
      bytesDown: this.traffic.down,
    };
  }

  info(): FederationInfo | undefined {
    const { federation, fingerprint, progress } = this;
    if (!federation || !fingerprint || !progress) return undefined;
    const { plan, run } = federation;
    const finished = this.finished !== undefined;
    return describeFederation({ task: plan.task, fingerprint, planHash: run, plan, round: progress.version, finished });
  }

  run(): Promise<RunResult> {
    this.running ??= this.runRounds();
    return this.running;
  }

  private async runRounds(): Promise<RunResult> {
    const startedAt = this.clock.now();
    const { crypto, identity, store, initialModel } = this.options;
    const federation = await openFederation(this.options);
    this.fingerprint = await fingerprintOf(crypto, identity.publicKey);
    this.progress = await resume(federation, initialModel);
    for (const commit of await store.history(federation.run)) {
      this.history.push(summaryOf(commit));
      this.links.push({ offer: commit.offer, commit: commit.record });
    }
    this.federation = federation;
    const { nowSeconds = () => Date.now() / 1000 } = this.options;
    const margin = certificateMarginSeconds(federation.plan);
    this.checkCertificate = certificateCheckOf(crypto, federation.plan, nowSeconds, margin);
    this.accept(federation);
    while (!this.stopped && this.progress.version < federation.plan.rounds.count) {
      await this.runRound(federation);
      this.first = false;
    }
    if (this.progress.version >= federation.plan.rounds.count) await this.finish(federation, this.progress);
    const { version, model, modelHash } = this.progress;
    return {
      finished: this.finished !== undefined,
      rounds: version,
      modelHash: toHex(modelHash),
      model,
      bytesUp: this.traffic.up,
      bytesDown: this.traffic.down,
      seconds: (this.clock.now() - startedAt) / 1000,
      history: [...this.history],
    };
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.wake();
    this.onEmpty();
    this.attempt?.cancel();
    // The store may be closed once this returns, so nothing may still be written.
    await this.running?.catch(() => {});
    if (!this.finished) this.lobby.tellAll(STOPPED);
    await Promise.all(this.listeners.map((listener) => listener.close()));
    await this.spill.close();
  }

  drained(limitMs: number): Promise<void> {
    if (this.lobby.participants.count === 0 || this.stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.clock.after(limitMs, resolve);
      this.onEmpty = () => {
        cancel();
        resolve();
      };
    });
  }

  // ------------------------------------------------------------------ rounds

  private async runRound(federation: Federation): Promise<void> {
    const { maxAttempts } = federation.plan.rounds;
    const trafficBefore = { ...this.traffic };
    let pauseMs = this.options.retryMs ?? 1000;
    for (let failures = 1; !this.stopped; failures++) {
      const outcome = await this.runAttempt(federation, trafficBefore);
      if (outcome.type === 'committed') return this.onCommitted(outcome);
      const retry = !this.stopped && failures < maxAttempts && !FINAL.has(outcome.code);
      this.onFailed(outcome, retry);
      if (this.stopped) return;
      if (!retry) {
        throw new TacitError(
          'run/failed',
          `round ${this.progress!.version + 1} failed ${failures} times, last with ${outcome.code}`,
          {
            ...(outcome.message ? { hint: outcome.message } : {}),
          },
        );
      }
      await this.pause(pauseMs);
      pauseMs = Math.min(MAX_RETRY_MS, 2 * pauseMs);
    }
  }

  private async runAttempt(federation: Federation, trafficBefore: Traffic): Promise<Outcome> {
    const { plan, exchanges, store, run } = federation;
    const { lobby, first, options } = this;
    const progress = this.progress!;
    const attempt = await beginAttempt({
      federation,
      participants: lobby.participants,
      desk: this.desk,
      clock: this.clock,
      traffic: this.traffic,
      trafficBefore,
      progress,
      attempt: await store.beginAttempt(run, progress.version),
      limits: limitsOf(plan, { ...options, first, exchanges: exchanges.length, excluded: lobby.excludedCount }),
      candidates: () => lobby.candidates(progress.version),
      checkCertificate: this.checkCertificate,
      onCounted: (id) => lobby.onCounted(id),
      onSpoilt: (id) => lobby.exclude(id),
      emit: (event) => this.emit(event),
    });
    this.attempt = attempt;
    const { down, up } = attempt.sums.volume();
    this.budget.reset({ down: down + 32 * federation.planRef.bytes, up });
    if (this.stopped) attempt.cancel();
    attempt.refresh();
    lobby.checkCandidates();
    const outcome = await attempt.done;
    this.attempt = undefined;
    return outcome;
  }

  private onCommitted({ progress, summary, commit }: Extract<Outcome, { type: 'committed' }>): void {
    this.progress = progress;
    this.history.push(summary);
    this.links.push({ offer: commit.offer, commit: commit.record });
    this.lobby.onNewModel();
    this.lobby.tellAll({ type: 'committed', commit: commit.record });
    const links = this.links.slice(this.announced);
    this.announced = this.links.length;
    this.emit({
      type: 'committed',
      summary,
      model: progress.model,
      rounds: this.options.plan.rounds.count,
      links,
      serverKey: this.options.identity.publicKey,
    });
  }

  private onFailed({ attempt, code, message, absent }: Extract<Outcome, { type: 'failed' }>, retry: boolean): void {
    const round = this.progress!.version;
    this.lobby.onFailure(round, absent);
    this.emit({ type: 'failed', round, attempt, code, message, retry });
  }

  private async finish({ identity, plan, planRef, shelf }: Federation, progress: Progress): Promise<void> {
    const { version: rounds, modelHash } = progress;
    const model = await shelf.add('model', progress.model);
    shelf.keepOnly([planRef.hash, model.hash]);
    this.budget.reset({ down: model.bytes + 32 * planRef.bytes, up: 0 });
    const facts = { task: plan.task, planHash: planRef.hash, modelHash, modelBytes: model.bytes, rounds };
    this.finished = { type: 'finished', model, rounds, signature: await identity.sign(finishedStatement(facts)) };
    this.lobby.tellAll(this.finished);
    this.emit({ type: 'finished', rounds, modelHash: toHex(modelHash) });
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.clock.after(ms, resolve);
      this.wake = () => {
        cancel();
        resolve();
      };
    });
  }

  // ------------------------------------------------------------------ participants

  private accept(federation: Federation): void {
    const { shelf } = federation;
    const context: SessionContext = {
      federation,
      checkCertificate: this.checkCertificate,
      clock: this.clock,
      participants: this.lobby.participants,
      traffic: this.traffic,
      standing: () => ({
        round: this.progress!.version,
        head: this.progress!.head,
        finished: this.finished !== undefined,
      }),
      serve: (participant, request, body) =>
        serveRequest(
          { shelf, budget: this.budget, links: this.links, attempt: this.attempt },
          participant,
          request,
          body,
        ),
      onRefused: ({ id }, request, code) => this.emit({ type: 'refused', participant: id, request, code }),
      onDropped: (remote, { code }) => this.emit({ type: 'dropped', remote, code }),
    };
    for (const listener of this.listeners) {
      listener.onConnection((connection) => openSession(connection, context));
    }
  }

  /** A listener of events that throws must not touch the round. */
  private emit(event: CoordinatorEvent): void {
    try {
      this.options.onEvent?.(event);
    } catch (thrown) {
      process.emitWarning(`a listener of coordinator events failed at "${event.type}": ${String(thrown)}`);
    }
    if (event.type === 'training' && event.exchange === 0) this.lobby.tellOutsiders();
  }
}
