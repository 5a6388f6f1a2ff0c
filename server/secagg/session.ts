/**
 * The coordinator's half of secure aggregation (SPEC.md §13): collects advertisements, makes the roster and its groups, and drives all
 * groups through the stages together. It holds no timer and no socket: the caller says when a stage is over.
 */
import { compareBytes, equalBytes, toHex } from '../../protocol/bytes.ts';
import { TacitError } from '../../protocol/errors.ts';
import { addWords } from '../../protocol/fixed-point.ts';
import { participantId } from '../../protocol/identity.ts';
import type { ParticipantId } from '../../protocol/ids.ts';
import type { Bodies, Fault, OpenedExchange, ServerOptions, ServerSession } from '../../protocol/secagg/contracts.ts';
import { drawGroups } from '../../protocol/secagg/groups.ts';
import { type Advertisement, decodeAdvertisement, encodeRoster } from '../../protocol/secagg/objects.ts';
import { verifyAdvertisement } from '../../protocol/secagg/roster.ts';
import { admissible, checkTerms, DEFAULT_GROUP, floorOf } from '../../protocol/secagg/rules.ts';
import { rosterStatement, sessionIdOf } from '../../protocol/secagg/statements.ts';
import { createGroup, type Group } from './group.ts';

interface Place {
  readonly group: Group;
  readonly index: number;
}

/** Those who advertised, in the order in which they did. */
function createRegister({ crypto, offerHash, exchanges, checkCertificate }: ServerOptions) {
  const entries = new Map<ParticipantId, { readonly entry: Advertisement; readonly body: Uint8Array }>();
  const keys = new Set<string>();
  const check = (participant: ParticipantId, entry: Advertisement): string[] => {
    if (entries.has(participant)) throw new TacitError('round/duplicate', 'a second advertisement');
    if (participantId(entry.identity) !== participant) throw new TacitError('auth/bad-key', 'for another participant');
    const own = [...entry.maskKeys, entry.channelKey].map(toHex);
    if (new Set(own).size !== own.length || own.some((key) => keys.has(key))) {
      throw new TacitError('auth/bad-key', 'a key that is in the roster already');
    }
    return own;
  };
  return {
    entries: (): Advertisement[] => [...entries.values()].map(({ entry }) => entry),
    clear: (): void => entries.clear(),
    async add(participant: ParticipantId, body: Uint8Array): Promise<void> {
      const before = entries.get(participant);
      if (before && equalBytes(before.body, body)) return;
      const entry = decodeAdvertisement(body, exchanges.length);
      check(participant, entry);
      await verifyAdvertisement(crypto, offerHash, entry, checkCertificate);
      for (const key of check(participant, entry)) keys.add(key); // again: others may have come meanwhile
      entries.set(participant, { entry, body });
    },
  };
}

const late = (): TacitError => new TacitError('round/late', 'the participant is not in the session');

/** Opens a session. @throws TacitError plan/refused if no session can hold under these terms */
export function openServerSession(options: ServerOptions): ServerSession {
  checkTerms(options, options.exchanges);
  return new Session(options);
}

class Session implements ServerSession {
  private readonly options: ServerOptions;
  private readonly register: ReturnType<typeof createRegister>;
  private readonly places = new Map<ParticipantId, Place>();
  private groups: readonly Group[] | undefined;

  constructor(options: ServerOptions) {
    this.options = options;
    this.register = createRegister(options);
  }

  async advertised(participant: ParticipantId, body: Uint8Array): Promise<void> {
    if (this.groups) throw late();
    await this.register.add(participant, body);
  }

  async roster(): Promise<Bodies> {
    const { crypto, offerHash, maxGroup = DEFAULT_GROUP } = this.options;
    if (this.groups) throw new TacitError('internal', 'a second roster of one session');
    this.groups = []; // closed from now on
    const all = this.admitted();
    const drawn = await drawGroups(crypto, offerHash, all, maxGroup);
    const formed = await Promise.all(drawn.map((entries) => this.form(entries, all)));
    this.groups = formed.map(([group]) => group);
    const bodies = new Map<ParticipantId, Uint8Array>();
    for (const [group, body] of formed) {
      for (const [index, id] of group.ids.entries()) {
        this.places.set(id, { group, index });
        bodies.set(id, body);
      }
    }
    return bodies;
  }

  async shared(participant: ParticipantId, body: Uint8Array): Promise<void> {
    const { group, index } = this.placeOf(participant);
    await group.shared(index, body);
  }

  delivery(): Promise<Bodies> {
    return this.closeAll((group) => group.closeSharing());
  }

  async complained(participant: ParticipantId, body: Uint8Array): Promise<void> {
    const { group, index } = this.placeOf(participant);
    await group.complained(index, body);
  }

  masked(participant: ParticipantId, exchange: number, words: Int32Array): void {
    const { group, index } = this.placeOf(participant);
    group.masked(index, exchange, words);
  }

  survivors(exchange: number, startHash = this.options.modelHash): Promise<Bodies> {
    return this.closeAll((group) => group.closeMasking(exchange, startHash));
  }

  async agreed(participant: ParticipantId, body: Uint8Array): Promise<void> {
    const { group, index } = this.placeOf(participant);
    await group.agreed(index, body);
  }

  agreements(exchange: number): Promise<Bodies> {
    return this.closeAll((group) => group.closeAgreeing(exchange));
  }

  async unmasking(participant: ParticipantId, body: Uint8Array): Promise<void> {
    const { group, index } = this.placeOf(participant);
    group.unmasking(index, body);
  }

  openable(exchange: number): boolean {
    const running = this.running();
    return running.length > 0 && running.every((group) => group.openable(exchange));
  }

  open(exchange: number): Promise<OpenedExchange> {
    return openAll(this.running(), exchange, this.options.exchanges[exchange] ?? 0);
  }

  faults(): readonly Fault[] {
    return (this.groups ?? []).flatMap(({ faults }) => faults);
  }

  awaited(): readonly ParticipantId[] {
    return this.running().flatMap((group) => group.awaited().map((v) => group.ids[v]!));
  }

  wipe(): void {
    this.register.clear();
    for (const group of this.groups ?? []) group.wipe();
  }

  private placeOf(participant: ParticipantId): Place {
    if (!this.groups) throw new TacitError('wire/unexpected', 'there is no roster yet');
    const place = this.places.get(participant);
    if (!place) throw late();
    return place;
  }

  private running(): Group[] {
    return (this.groups ?? []).filter(({ stage }) => stage !== 'failed');
  }

  /** As many of those who advertised as can be cut into groups, sorted. @throws TacitError round/too-few-participants */
  private admitted(): Advertisement[] {
    const come = this.register.entries();
    const all = come.slice(0, admissible(come.length, this.options));
    if (all.length > 0) return all.sort((a, b) => compareBytes(a.identity, b.identity));
    throw new TacitError(
      'round/too-few-participants',
      `${come.length} participants, ${this.options.minCohort} are needed`,
    );
  }

  /** A group, and the body `roster` for those who are in it. */
  private async form(
    entries: readonly Advertisement[],
    all: readonly Advertisement[],
  ): Promise<[group: Group, roster: Uint8Array]> {
    const { crypto, identity, offerHash, planHash, exchanges, threads } = this.options;
    const sessionId = await sessionIdOf(crypto, offerHash, entries);
    const group = createGroup({
      ...{ crypto, identity, planHash, exchanges, sessionId, entries, floor: floorOf(this.options, all.length) },
      ...(threads === undefined ? {} : { threads }),
    });
    return [group, encodeRoster({ entries: all, signature: await identity.sign(rosterStatement(sessionId)) })];
  }

  /** Closes a stage of every group that is left. */
  private async closeAll(
    close: (group: Group) => Map<number, Uint8Array> | Promise<Map<number, Uint8Array>>,
  ): Promise<Bodies> {
    const bodies = new Map<ParticipantId, Uint8Array>();
    for (const group of this.running()) {
      for (const [v, body] of await close(group)) bodies.set(group.ids[v]!, body);
    }
    if (this.running().length > 0) return bodies;
    throw new TacitError('round/too-few-participants', 'too few are left in every group');
  }
}

/** Opens the groups one after the other and adds their sums up. @throws TacitError secagg/unrecoverable if none opens */
async function openAll(groups: readonly Group[], exchange: number, words: number): Promise<OpenedExchange> {
  const sum = new Int32Array(words);
  const participants: ParticipantId[] = [];
  for (const group of groups) {
    const opened = await group.open(exchange);
    if (!opened) continue;
    addWords(sum, opened.sum);
    participants.push(...opened.participants);
  }
  if (participants.length === 0) {
    throw new TacitError('secagg/unrecoverable', 'no group has enough good shares to open its sum');
  }
  return { sum, participants };
}
