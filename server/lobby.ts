/**
 * Everybody who has joined: who could be asked for a round, in which order, and what they are told when nothing is asked of them.
 */
import type { ParticipantId } from '../protocol/ids.ts';
import type { ServerMessage } from '../protocol/messages.ts';
import type { Plan } from '../protocol/plan.ts';
import type { Attempt } from './attempt.ts';
import type { Sampler, SamplerState } from './cohort.ts';
import type { CoordinatorEvent } from './events.ts';
import { createParticipants, type Participant, type Participants } from './participants.ts';

export interface LobbyOptions {
  readonly plan: Plan;
  readonly sampler: Sampler;
  readonly maxParticipants: number;
  readonly emit: (event: CoordinatorEvent) => void;
  /** The attempt that is under way. */
  readonly attempt: () => Attempt | undefined;
  /** The last participant has left. */
  readonly onEmpty: () => void;
  /** What a participant is told first, such as that the run has finished. */
  readonly greeting: () => ServerMessage | undefined;
}

export class Lobby {
  readonly participants: Participants;
  private readonly options: LobbyOptions;
  private samplerState: SamplerState;
  /** Reports that each participant has contributed to the present model. */
  private readonly contributions = new Map<ParticipantId, number>();
  /** Who is asked no more in this run. */
  private readonly excluded = new Set<ParticipantId>();

  constructor(options: LobbyOptions) {
    this.options = options;
    this.samplerState = options.sampler.init();
    this.participants = createParticipants(options.maxParticipants, {
      onJoin: (participant) => this.onJoin(participant),
      onLeave: (participant, reason) => this.onLeave(participant, reason),
    });
  }

  tellAll(message: ServerMessage): void {
    for (const participant of this.participants.joined()) participant.notify(message);
  }

  /** Tells those who have no part in the attempt when to expect the next. */
  tellOutsiders(): void {
    for (const participant of this.participants.joined()) this.tellOutsider(participant, 'round/not-selected');
  }

  /** Who could be asked, first choice first: without the excluded and those who contributed to this model as often as the plan allows. */
  candidates(round: number): readonly ParticipantId[] {
    const { seed, rounds } = this.options.plan;
    const candidates = this.participants
      .joined()
      .map(({ id }) => id)
      .filter((id) => !this.excluded.has(id) && (this.contributions.get(id) ?? 0) < rounds.maxContributionsPerModel);
    return this.options.sampler.apply(this.samplerState, { seed, round, candidates });
  }

  onCounted(participant: ParticipantId): void {
    this.contributions.set(participant, (this.contributions.get(participant) ?? 0) + 1);
  }

  get excludedCount(): number {
    return this.excluded.size;
  }

  /** For the rest of this run: it keeps others from finishing a round. */
  exclude(participant: ParticipantId): void {
    this.excluded.add(participant);
  }

  /** There is a new model, to which nobody has contributed yet. */
  onNewModel(): void {
    this.contributions.clear();
  }

  onFailure(round: number, absent: readonly ParticipantId[]): void {
    this.samplerState = this.options.sampler.afterFailure(this.samplerState, round, absent);
  }

  /** Before a round opens: says how many are missing, and gives up when those of them who may still be asked are too few. */
  checkCandidates(): void {
    const attempt = this.options.attempt();
    if (attempt?.phase !== 'idle') return;
    const { needed, where } = attempt;
    const participants = this.participants.count;
    this.options.emit({ type: 'waiting', participants, needed, ...where });
    if (participants >= needed && this.candidates(where.round).length < needed) {
      const present = this.participants.joined().filter(({ id }) => !this.excluded.has(id));
      attempt.fail(present.length < needed ? 'round/too-few-participants' : 'round/too-many-contributions');
    }
  }

  private onJoin(participant: Participant): void {
    const { emit, attempt, greeting } = this.options;
    const { platform, engine } = participant.capabilities;
    emit({ type: 'joined', participant: participant.id, participants: this.participants.count, platform, engine });
    const message = greeting();
    if (message) participant.notify(message);
    attempt()?.onJoin(participant);
    this.tellOutsider(participant, 'round/full');
    this.checkCandidates();
  }

  private onLeave({ id }: Participant, reason: string): void {
    this.options.emit({ type: 'left', participant: id, participants: this.participants.count, reason });
    this.options.attempt()?.onLeave(id);
    this.checkCandidates();
    if (this.participants.count === 0) this.options.onEmpty();
  }

  private tellOutsider(participant: Participant, code: 'round/full' | 'round/not-selected'): void {
    const attempt = this.options.attempt();
    if (!attempt?.isClosedTo(participant.id)) return;
    participant.notify({ type: 'wait', code, retryAfterMs: Math.round(attempt.leftMs) });
  }
}
