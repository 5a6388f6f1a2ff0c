/**
 * The coordinator of one federated run: takes connections into service while the rounds go on, says how it stands, and in the end
 * gives the model to whoever stayed. Everything is driven by events; nothing is polled.
 */
import { toHex } from '../protocol/bytes.ts';
import { certificateCheckOf, certificateMarginSeconds } from '../protocol/certificate.ts';
import { describeFederation, type FederationInfo } from '../protocol/federation-info.ts';
import { fingerprintOf, finishedStatement } from '../protocol/identity.ts';
import type { Fingerprint } from '../protocol/ids.ts';
import type { ServerMessage, ServerMessageOf } from '../protocol/messages.ts';
import type { CertificateCheck } from '../protocol/secagg/contracts.ts';
import { createUploadDesk, type UploadDesk } from '../protocol/transfer.ts';
import type { Listener } from '../protocol/transport.ts';
import { type Clock, systemClock } from './clock.ts';
import { uniformSampler } from './cohort.ts';
import type { Coordinator, CoordinatorOptions, Status } from './coordinator-options.ts';
import type { CoordinatorEvent, RunResult } from './events.ts';
import { type Federation, openFederation, type Progress } from './federation.ts';
import { Lobby } from './lobby.ts';
import { serveRequest } from './requests.ts';
import { Rounds } from './rounds.ts';
import { openSession, type SessionContext } from './session.ts';
import { createSpill, type Spill } from './spill.ts';
import type { Traffic } from './traffic.ts';
import { transferBudget } from './transfer-budget.ts';

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
  private federation: Federation | undefined;
  private fingerprint: Fingerprint | undefined;
  private rounds: Rounds | undefined;
  private finished: ServerMessageOf<'finished'> | undefined;
  private stopped = false;
  private running: Promise<RunResult> | undefined;
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
      attempt: () => this.rounds?.attempt,
      onEmpty: () => this.onEmpty(),
      greeting: () => this.finished ?? (this.stopped ? STOPPED : undefined),
    });
  }

  get status(): Status {
    const idle = this.stopped ? 'stopped' : this.finished ? 'finished' : 'starting';
    return {
      phase: this.rounds?.attempt?.phase ?? idle,
      round: this.rounds?.progress.version ?? 0,
      rounds: this.options.plan.rounds.count,
      participants: this.lobby.participants.count,
      bytesUp: this.traffic.up,
      bytesDown: this.traffic.down,
    };
  }

  info(): FederationInfo | undefined {
    const { federation, fingerprint, rounds } = this;
    if (!federation || !fingerprint || !rounds) return undefined;
    const { plan, run } = federation;
    const { version: round } = rounds.progress;
    const finished = this.finished !== undefined;
    return describeFederation({ task: plan.task, fingerprint, planHash: run, plan, round, finished });
  }

  run(): Promise<RunResult> {
    this.running ??= this.runRounds();
    return this.running;
  }

  private async runRounds(): Promise<RunResult> {
    const startedAt = this.clock.now();
    const { crypto, identity, nowSeconds = () => Date.now() / 1000 } = this.options;
    const federation = await openFederation(this.options);
    this.fingerprint = await fingerprintOf(crypto, identity.publicKey);
    const margin = certificateMarginSeconds(federation.plan);
    const checkCertificate = certificateCheckOf(crypto, federation.plan, nowSeconds, margin);
    const { options, clock, lobby, desk, traffic, budget } = this;
    const rounds = await Rounds.open({
      ...{ federation, options, clock, lobby, desk, traffic, budget, checkCertificate },
      emit: (event) => this.emit(event),
    });
    this.federation = federation;
    this.rounds = rounds;
    if (this.stopped) rounds.stop();
    this.accept(federation, rounds, checkCertificate);
    await rounds.run();
    if (rounds.areDone) await this.finish(federation, rounds.progress);
    const { version, model, modelHash } = rounds.progress;
    return {
      finished: this.finished !== undefined,
      rounds: version,
      modelHash: toHex(modelHash),
      model,
      bytesUp: traffic.up,
      bytesDown: traffic.down,
      seconds: (clock.now() - startedAt) / 1000,
      history: [...rounds.history],
    };
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.onEmpty();
    this.rounds?.stop();
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

  /** From now on whoever connects is served. */
  private accept(federation: Federation, rounds: Rounds, checkCertificate: CertificateCheck | undefined): void {
    const { shelf } = federation;
    const context: SessionContext = {
      federation,
      checkCertificate,
      clock: this.clock,
      participants: this.lobby.participants,
      traffic: this.traffic,
      standing: () => ({
        round: rounds.progress.version,
        head: rounds.progress.head,
        finished: this.finished !== undefined,
      }),
      serve: (participant, request, body) =>
        serveRequest(
          { shelf, budget: this.budget, links: rounds.links, attempt: rounds.attempt },
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
