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
  decodeShares,
  decodeUnmasking,
  encodeAgreements,
  encodeDelivery,
  encodeSurvivors,
  type SealedShares,
  type Unmasking,
} from '../../protocol/secagg/objects.ts';
import { sharesOf } from '../../protocol/secagg/rules.ts';
import {
  agreeStatement,
  boxesHashOf,
  sharesStatement,
  survivorsHashOf,
  survivorsStatement,
} from '../../protocol/secagg/statements.ts';
import { recoverSecrets } from './recovery.ts';
import { unmask } from './unmask.ts';

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
  readonly blamed: readonly ParticipantId[];
}

/** Participants are roster indices of the group; closing gives the bodies of the next stage by index. */
export interface Group {
  readonly ids: readonly ParticipantId[];
  readonly stage: GroupStage;
  shared(index: number, body: Uint8Array): Promise<void>;
  closeSharing(): Map<number, Uint8Array>;
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

export function createGroup(options: GroupOptions): Group {
  const { crypto, identity, exchanges, sessionId, entries, floor, planHash } = options;
  const size = entries.length;
  const ids = entries.map((entry) => participantId(entry.identity));
  const shares = new Map<number, SealedShares>();
  /** What each participant sent last, so that it may send it again. */
  const last = new Map<number, Uint8Array>();
  let state: GroupState = openGroup(size, floor);
  let sum: Int32Array<ArrayBuffer> | undefined;
  let startHash = new Uint8Array(0);
  let agreements = new Map<number, Uint8Array>();
  let answers = new Map<number, Unmasking>();

  const repeated = (index: number, body: Uint8Array): boolean => {
    const before = last.get(index);
    return before !== undefined && equalBytes(before, body);
  };
  const enter = (stage: GroupStage, exchange: number, index: number, body?: Uint8Array): void => {
    checkTurn(state, stage, exchange, index);
    state = arrive(state, index);
    if (body) last.set(index, body);
  };
  const leave = (stage: GroupStage, exchange: number): boolean => {
    if (state.stage === 'failed') return false;
    if (state.stage !== stage || state.exchange !== exchange) {
      throw new TacitError(
        'internal',
        `closing ${stage} of exchange ${exchange} in ${state.stage} of ${state.exchange}`,
      );
    }
    state = close(state, exchanges.length);
    return state.stage !== ('failed' as GroupStage);
  };
  const survivorsHash = (survivors: readonly number[]): Promise<Uint8Array> =>
    survivorsHashOf(
      crypto,
      survivors.map((v) => entries[v]!.identity),
    );
  const toAll = (members: readonly number[], body: (v: number) => Uint8Array): Map<number, Uint8Array> =>
    new Map(members.map((v) => [v, body(v)]));

  return {
    ids,
    get stage() {
      return state.stage;
    },
    async shared(index, body) {
      if (repeated(index, body)) return;
      checkTurn(state, 'sharing', 0, index);
      const decoded = decodeShares(body, size, exchanges.length);
      const statement = sharesStatement(sessionId, decoded.commits, await boxesHashOf(crypto, decoded.boxes));
      await verifyStatement(crypto, entries[index]!.identity, statement, decoded.signature);
      enter('sharing', 0, index, body);
      shares.set(index, decoded);
    },
    closeSharing() {
      if (!leave('sharing', 0)) return new Map();
      const { members } = state;
      const boxTo = (v: number, u: number): Uint8Array => shares.get(u)!.boxes[v < u ? v : v - 1]!;
      return toAll(members, (v) =>
        encodeDelivery({ members, boxes: members.filter((u) => u !== v).map((u) => boxTo(v, u)) }, size),
      );
    },
    masked(index, exchange, words) {
      if (words.length !== exchanges[exchange]) {
        throw new TacitError('report/malformed', `${words.length} words instead of ${exchanges[exchange]}`);
      }
      enter('masking', exchange, index);
      sum ??= new Int32Array(words.length);
      addWords(sum, words);
    },
    async closeMasking(exchange, start) {
      if (!leave('masking', exchange)) return new Map();
      startHash = start.slice();
      agreements = new Map();
      const members = state.survivors;
      const signature = await identity.sign(survivorsStatement(sessionId, exchange, await survivorsHash(members)));
      const body = encodeSurvivors({ exchange, members, signature }, size);
      return toAll(members, () => body);
    },
    async agreed(index, body) {
      if (repeated(index, body)) return;
      const { exchange, signature } = decodeAgreement(body);
      checkTurn(state, 'agreeing', exchange, index);
      const statement = agreeStatement(sessionId, exchange, await survivorsHash(state.survivors));
      await verifyStatement(crypto, entries[index]!.identity, statement, signature);
      enter('agreeing', exchange, index, body);
      agreements.set(index, signature);
    },
    closeAgreeing(exchange) {
      if (!leave('agreeing', exchange)) return new Map();
      answers = new Map();
      const members = state.expected;
      const body = encodeAgreements({ exchange, members, signatures: members.map((v) => agreements.get(v)!) }, size);
      return toAll(members, () => body);
    },
    unmasking(index, body) {
      if (repeated(index, body)) return;
      const { survivors, members } = state;
      const self = survivors.length - (sharesOf(size) < size ? 1 : 0);
      checkTurn(state, 'unmasking', state.exchange, index);
      const decoded = decodeUnmasking(body, { self, key: members.length - survivors.length });
      enter('unmasking', decoded.exchange, index, body);
      answers.set(index, decoded);
    },
    openable: (exchange) => state.stage === 'unmasking' && state.exchange === exchange && isEnough(state),
    async open(exchange) {
      const { members, survivors } = state;
      if (!leave('unmasking', exchange) || !sum) return undefined;
      const opened = sum;
      sum = undefined;
      const commits = new Map([...shares].map(([v, { commits: all }]) => [v, all[exchange]!]));
      const found = await recoverSecrets({
        crypto,
        sessionId,
        entries,
        exchange,
        members,
        survivors,
        commits,
        answers,
      });
      answers = new Map();
      if (!found) {
        state = fail(state);
        return undefined;
      }
      const context = { sessionId, startHash, planHash, exchange };
      const { own, lost } = found;
      const alive = survivors.map((v) => ({
        index: v,
        identity: entries[v]!.identity,
        maskKey: entries[v]!.maskKeys[exchange]!,
      }));
      try {
        await unmask(crypto, { context, survivors: alive, own, lost }, opened, options);
      } finally {
        for (const secret of [...own.map(({ b }) => b), ...lost.map(({ secretKey }) => secretKey)]) secret.fill(0);
      }
      return { sum: opened, participants: survivors.map((v) => ids[v]!), blamed: found.wrong.map((v) => ids[v]!) };
    },
    awaited: () => awaitedIn(state),
    wipe() {
      state = fail(state);
      sum?.fill(0);
      sum = undefined;
      for (const map of [shares, last, agreements, answers]) map.clear();
    },
  };
}
