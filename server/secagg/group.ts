/**
 * The coordinator's half of one group: takes bodies that group-state.ts lets in, and keeps what the next stage needs. A body is
 * verified before anything changes; the same body again is no further news.
 */
import { equalBytes } from '../../protocol/bytes.ts';
import type { CryptoProvider } from '../../protocol/crypto/provider.ts';
import { TacitError } from '../../protocol/errors.ts';
import { addWords } from '../../protocol/fixed-point.ts';
import { type Identity, participantId, verifyStatement } from '../../protocol/identity.ts';
import type { ParticipantId } from '../../protocol/ids.ts';
import type { Fault } from '../../protocol/secagg/contracts.ts';
import {
  arrive,
  awaitedIn,
  checkTurn,
  close,
  fail,
  type GroupStage,
  type GroupState,
  isEnough,
  openGroup,
} from '../../protocol/secagg/group-state.ts';
import {
  type Advertisement,
  decodeAgreement,
  decodeComplaint,
  decodeShares,
  decodeUnmasking,
  encodeAgreements,
  encodeDelivery,
  encodeSurvivors,
  type SealedShares,
  type Unmasking,
} from '../../protocol/secagg/objects.ts';
import { answersNeeded, checkComplaint, sharesOf } from '../../protocol/secagg/rules.ts';
import {
  agreeStatement,
  boxesHashOf,
  complaintStatement,
  sharesStatement,
  survivorsHashOf,
  survivorsStatement,
} from '../../protocol/secagg/statements.ts';
import { createDisputes } from './disputes.ts';
import { openSum } from './opening.ts';
import { prepareUnmasking } from './unmask.ts';

export interface GroupOptions {
  readonly crypto: CryptoProvider;
  readonly identity: Identity;
  readonly planHash: Uint8Array;
  readonly exchanges: readonly number[];
  readonly floor: number;
  readonly sessionId: Uint8Array;
  /** Sorted by identity. */
  readonly entries: readonly Advertisement[];
  readonly threads?: number;
}

/** A group's sum without masks. */
export interface OpenedGroup {
  readonly sum: Int32Array<ArrayBuffer>;
  readonly participants: readonly ParticipantId[];
}

/** Participants are roster indices of the group; closing gives the bodies of the next stage by index. */
export interface Group {
  readonly ids: readonly ParticipantId[];
  readonly stage: GroupStage;
  /** Who has been found out. */
  readonly faults: readonly Fault[];
  shared(index: number, body: Uint8Array): Promise<void>;
  closeSharing(): Map<number, Uint8Array>;
  complained(index: number, body: Uint8Array): Promise<void>;
  masked(index: number, exchange: number, words: Int32Array): void;
  closeMasking(exchange: number, startHash: Uint8Array): Promise<Map<number, Uint8Array>>;
  agreed(index: number, body: Uint8Array): Promise<void>;
  closeAgreeing(exchange: number): Map<number, Uint8Array>;
  unmasking(index: number, body: Uint8Array): void;
  openable(exchange: number): boolean;
  /** Undefined, and the group has failed, if too few answered or too many shares are wrong. */
  open(exchange: number): Promise<OpenedGroup | undefined>;
  awaited(): readonly number[];
  wipe(): void;
}

export const createGroup = (options: GroupOptions): Group => new RunningGroup(options);

class RunningGroup implements Group {
  readonly ids: readonly ParticipantId[];
  private readonly options: GroupOptions;
  private readonly shares = new Map<number, SealedShares>();
  /** What each participant sent last, so that it may send it again. */
  private readonly last = new Map<number, Uint8Array>();
  private readonly disputes = createDisputes();
  private found: readonly Fault[] = [];
  private state: GroupState;
  private sum: Int32Array<ArrayBuffer> | undefined;
  private startHash = new Uint8Array(0);
  private agreements = new Map<number, Uint8Array>();
  private answers = new Map<number, Unmasking>();

  constructor(options: GroupOptions) {
    this.options = options;
    this.ids = options.entries.map((entry) => participantId(entry.identity));
    this.state = openGroup(options.entries.length, options.floor);
  }

  get faults(): readonly Fault[] {
    return this.found;
  }

  get stage(): GroupStage {
    return this.state.stage;
  }

  private get size(): number {
    return this.options.entries.length;
  }

  // ------------------------------------------------------------------ bodies

  async shared(index: number, body: Uint8Array): Promise<void> {
    if (this.repeated(index, body)) return;
    const { crypto, exchanges, sessionId, entries } = this.options;
    checkTurn(this.state, 'sharing', 0, index);
    const decoded = decodeShares(body, this.size, exchanges.length);
    const statement = sharesStatement(sessionId, decoded.commits, await boxesHashOf(crypto, decoded.boxes));
    await verifyStatement(crypto, entries[index]!.identity, statement, decoded.signature);
    this.enter('sharing', 0, index, body);
    this.shares.set(index, decoded);
  }

  async complained(index: number, body: Uint8Array): Promise<void> {
    if (this.repeated(index, body)) return;
    const { crypto, sessionId, entries } = this.options;
    checkTurn(this.state, 'masking', 0, index);
    if (this.disputes.by(index)) throw new TacitError('round/duplicate', 'a second complaint');
    const { dealers, signature } = decodeComplaint(body, this.size);
    checkComplaint(this.size, dealers);
    const { members } = this.state;
    if (dealers.length === 0 || !dealers.every((v) => v !== index && members.includes(v))) {
      throw new TacitError('wire/malformed', 'a complaint of nobody, of others than members, or of oneself');
    }
    await verifyStatement(
      crypto,
      entries[index]!.identity,
      complaintStatement(sessionId, dealers, this.size),
      signature,
    );
    checkTurn(this.state, 'masking', 0, index); // its words may have come meanwhile
    this.disputes.add(index, dealers);
    this.last.set(index, body);
    this.found = this.faultsOf('boxed', this.disputes.beyond(answersNeeded(this.size), members.length));
  }

  masked(index: number, exchange: number, words: Int32Array): void {
    const { exchanges } = this.options;
    if (words.length !== exchanges[exchange]) {
      throw new TacitError('report/malformed', `${words.length} words instead of ${exchanges[exchange]}`);
    }
    this.enter('masking', exchange, index);
    this.sum ??= new Int32Array(words.length);
    addWords(this.sum, words);
  }

  async agreed(index: number, body: Uint8Array): Promise<void> {
    if (this.repeated(index, body)) return;
    const { crypto, sessionId, entries } = this.options;
    const { exchange, signature } = decodeAgreement(body);
    checkTurn(this.state, 'agreeing', exchange, index);
    const statement = agreeStatement(sessionId, exchange, await this.survivorsHash(this.state.survivors));
    await verifyStatement(crypto, entries[index]!.identity, statement, signature);
    this.enter('agreeing', exchange, index, body);
    this.agreements.set(index, signature);
  }

  unmasking(index: number, body: Uint8Array): void {
    if (this.repeated(index, body)) return;
    const { size } = this;
    const { survivors, members, exchange } = this.state;
    const self = survivors.length - (sharesOf(size) < size ? 1 : 0);
    checkTurn(this.state, 'unmasking', exchange, index);
    const decoded = decodeUnmasking(body, { self, key: members.length - survivors.length });
    this.enter('unmasking', decoded.exchange, index, body);
    this.answers.set(index, decoded);
  }

  // ------------------------------------------------------------------ stages

  closeSharing(): Map<number, Uint8Array> {
    if (!this.leave('sharing', 0)) return new Map();
    const { members } = this.state;
    const boxTo = (v: number, u: number): Uint8Array => this.shares.get(u)!.boxes[v < u ? v : v - 1]!;
    return toAll(members, (v) =>
      encodeDelivery({ members, boxes: members.filter((u) => u !== v).map((u) => boxTo(v, u)) }, this.size),
    );
  }

  async closeMasking(exchange: number, startHash: Uint8Array): Promise<Map<number, Uint8Array>> {
    if (!this.leave('masking', exchange)) return new Map();
    const { identity, sessionId } = this.options;
    this.startHash = startHash.slice();
    this.agreements = new Map();
    const members = this.state.survivors;
    const lost = this.state.members.length - members.length;
    prepareUnmasking(members.length, lost, this.options.exchanges[exchange]!, this.options);
    const signature = await identity.sign(survivorsStatement(sessionId, exchange, await this.survivorsHash(members)));
    const body = encodeSurvivors({ exchange, members, signature }, this.size);
    return toAll(members, () => body);
  }

  closeAgreeing(exchange: number): Map<number, Uint8Array> {
    if (!this.leave('agreeing', exchange)) return new Map();
    this.answers = new Map();
    const members = this.state.expected;
    const signatures = members.map((v) => this.agreements.get(v)!);
    const body = encodeAgreements({ exchange, members, signatures }, this.size);
    return toAll(members, () => body);
  }

  openable(exchange: number): boolean {
    return this.state.stage === 'unmasking' && this.state.exchange === exchange && isEnough(this.state);
  }

  async open(exchange: number): Promise<OpenedGroup | undefined> {
    const { members, survivors } = this.state;
    const { sum, answers, startHash } = this;
    if (!this.leave('unmasking', exchange) || !sum) return undefined;
    this.sum = undefined;
    const { shares, disputes } = this;
    const { isOpen, givers, dealers } = await openSum(
      { ...this.options, exchange, startHash, members, survivors, shares, disputes, answers },
      sum,
    );
    this.answers = new Map();
    // who gives a wrong share of its own secret looks like one who dealt wrongly
    const others = dealers.filter((v) => !givers.includes(v));
    this.found = [...this.found, ...this.faultsOf('gave', givers), ...this.faultsOf('dealt', others)];
    if (!isOpen) {
      this.state = fail(this.state);
      return undefined;
    }
    return { sum, participants: survivors.map((v) => this.ids[v]!) };
  }

  awaited(): readonly number[] {
    return awaitedIn(this.state);
  }

  wipe(): void {
    this.state = fail(this.state);
    this.sum?.fill(0);
    this.sum = undefined;
    for (const map of [this.shares, this.last, this.agreements, this.answers]) map.clear();
  }

  private faultsOf(what: Fault['what'], indices: readonly number[]): Fault[] {
    return indices.map((v) => ({ participant: this.ids[v]!, what }));
  }

  // ------------------------------------------------------------------ order

  private repeated(index: number, body: Uint8Array): boolean {
    const before = this.last.get(index);
    return before !== undefined && equalBytes(before, body);
  }

  private enter(stage: GroupStage, exchange: number, index: number, body?: Uint8Array): void {
    checkTurn(this.state, stage, exchange, index);
    this.state = arrive(this.state, index);
    if (body) this.last.set(index, body);
  }

  /** Ends a stage. @returns whether there are enough for the next */
  private leave(stage: GroupStage, exchange: number): boolean {
    const { state } = this;
    if (state.stage === 'failed') return false;
    if (state.stage !== stage || state.exchange !== exchange) {
      throw new TacitError(
        'internal',
        `closing ${stage} of exchange ${exchange} in ${state.stage} of ${state.exchange}`,
      );
    }
    this.state = close(state, this.options.exchanges.length);
    return this.stage !== 'failed';
  }

  private survivorsHash(survivors: readonly number[]): Promise<Uint8Array> {
    const { crypto, entries } = this.options;
    return survivorsHashOf(
      crypto,
      survivors.map((v) => entries[v]!.identity),
    );
  }
}

const toAll = (members: readonly number[], body: (v: number) => Uint8Array): Map<number, Uint8Array> =>
  new Map(members.map((v) => [v, body(v)]));
