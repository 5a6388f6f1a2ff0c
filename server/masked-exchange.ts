/**
 * The masked exchanges of one attempt between the round machine, which says when a stage begins and who is in it, and the session of
 * secagg/, which says what is sent. Keeps what each participant was sent last, for those whose connection breaks.
 */
import { equalBytes } from '../protocol/bytes.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { ParticipantId } from '../protocol/ids.ts';
import type { AnswerStep, ServerMessage, StageStep } from '../protocol/messages.ts';
import type { Bodies, Fault, OpenedExchange, ServerSession } from '../protocol/secagg/contracts.ts';
import type { Participants } from './participants.ts';
import type { SecureStage } from './round-state.ts';

export interface MaskedExchangeOptions {
  readonly session: ServerSession;
  readonly offerHash: Uint8Array;
  readonly participants: Participants;
  /** Somebody has been found out; told once. `request`: in which something was wrong, and how. */
  readonly onFault: (participant: ParticipantId, request: string, code: ErrorCode) => void;
}

/** What each stage starts from. */
const STARTS: Readonly<Record<SecureStage, StageStep>> = {
  sharing: 'roster',
  masking: 'delivery',
  agreeing: 'survivors',
  unmasking: 'agreements',
};

/** The stage that an answer ends for who gives it; keys are what training ends with. A complaint ends none. */
export const stageOfAnswer = (step: Exclude<AnswerStep, 'complaint'>): SecureStage | undefined =>
  (({ advertisement: undefined, 'sealed-shares': 'sharing', agreement: 'agreeing', unmasking: 'unmasking' }) as const)[
    step
  ];

/** What is told of a participant that has been found out: the request that was wrong, and how. */
const FAULTS: Readonly<Record<Fault['what'], readonly [request: AnswerStep, code: ErrorCode]>> = {
  boxed: ['sealed-shares', 'secagg/bad-share'],
  dealt: ['sealed-shares', 'secagg/unrecoverable'],
  gave: ['unmasking', 'secagg/bad-share'],
};

interface Given {
  readonly step: AnswerStep;
  readonly exchange: number;
}

export class MaskedExchange {
  private readonly options: MaskedExchangeOptions;
  private notices = new Map<ParticipantId, { readonly message: ServerMessage; readonly body: Uint8Array }>();
  /** Answers that were taken, so that the same one again is answered like the first. */
  private readonly taken = new Map<string, Uint8Array>();
  /** Who has been found out, and told of. */
  private readonly named = new Set<ParticipantId>();

  constructor(options: MaskedExchangeOptions) {
    this.options = options;
  }

  /** Closes what was before a stage and sends out what it starts from. @returns who was sent it */
  async open(stage: SecureStage, exchange: number, startHash: Uint8Array): Promise<readonly ParticipantId[]> {
    const bodies = await this.close(stage, exchange, startHash);
    const { offerHash } = this.options;
    const message = { type: 'stage', offerHash, exchange, step: STARTS[stage] } as const;
    this.notices = new Map([...bodies].map(([id, body]) => [id, { message, body }]));
    return [...bodies.keys()];
  }

  private close(stage: SecureStage, exchange: number, startHash: Uint8Array): Promise<Bodies> {
    const { session } = this.options;
    switch (stage) {
      case 'sharing':
        return session.roster();
      case 'masking':
        return session.delivery();
      case 'agreeing':
        return session.survivors(exchange, startHash);
      case 'unmasking':
        return session.agreements(exchange);
    }
  }

  /** Sends what the stage starts from, also to one that was sent it before its connection broke. */
  send(participant: ParticipantId): void {
    const notice = this.notices.get(participant);
    if (notice) this.options.participants.get(participant)?.notify(notice.message, notice.body);
  }

  private key(participant: ParticipantId, { step, exchange }: Given): string {
    return `${participant}/${exchange}/${step}`;
  }

  /** Whether this very answer was taken before. */
  hasTaken(participant: ParticipantId, given: Given, body: Uint8Array): boolean {
    const before = this.taken.get(this.key(participant, given));
    return before !== undefined && equalBytes(before, body);
  }

  /** Checks and takes an answer. @throws TacitError why it is refused; nothing has changed then */
  async take(participant: ParticipantId, given: Given, body: Uint8Array): Promise<void> {
    const { session } = this.options;
    const own = body.slice(); // the body is a view of its frame
    switch (given.step) {
      case 'advertisement':
        await session.advertised(participant, own);
        break;
      case 'sealed-shares':
        await session.shared(participant, own);
        break;
      case 'complaint':
        await session.complained(participant, own);
        this.tellFaults();
        break;
      case 'agreement':
        await session.agreed(participant, own);
        break;
      case 'unmasking':
        await session.unmasking(participant, own);
        break;
    }
    this.taken.set(this.key(participant, given), own);
  }

  masked(participant: ParticipantId, exchange: number, words: Int32Array): void {
    this.options.session.masked(participant, exchange, words);
  }

  isEnough(exchange: number): boolean {
    return this.options.session.openable(exchange);
  }

  /** Takes the masks off the sum of an exchange. @throws TacitError secagg/unrecoverable, round/too-few-participants */
  async sum(exchange: number): Promise<OpenedExchange> {
    try {
      return await this.options.session.open(exchange);
    } finally {
      this.tellFaults();
    }
  }

  private tellFaults(): void {
    for (const { participant, what } of this.options.session.faults()) {
      if (this.named.has(participant)) continue;
      this.named.add(participant);
      this.options.onFault(participant, ...FAULTS[what]);
    }
  }

  /** Whether anybody has been found out. */
  get isSpoilt(): boolean {
    return this.named.size > 0;
  }

  wipe(): void {
    this.options.session.wipe();
    this.notices.clear();
    this.taken.clear();
  }
}
