/**
 * The coordinator's half of secure aggregation (SPEC.md §13): collects advertisements, makes the roster and its groups, and drives all
 * groups through the stages together. It holds no timer and no socket: the caller says when a stage is over.
 */
import { compareBytes, equalBytes, toHex } from '../../protocol/bytes.ts';
import { TacitError } from '../../protocol/errors.ts';
import { addWords } from '../../protocol/fixed-point.ts';
import { participantId } from '../../protocol/identity.ts';
import type { ParticipantId } from '../../protocol/ids.ts';
import type { Bodies, OpenedExchange, ServerOptions, ServerSession } from '../../protocol/secagg/contracts.ts';
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
  const { crypto, identity, offerHash, planHash, modelHash, exchanges, maxGroup = DEFAULT_GROUP } = options;
  checkTerms(options, exchanges);
  const register = createRegister(options);
  const places = new Map<ParticipantId, Place>();
  let groups: readonly Group[] | undefined;

  const placeOf = (participant: ParticipantId): Place => {
    if (!groups) throw new TacitError('wire/unexpected', 'there is no roster yet');
    const place = places.get(participant);
    if (!place) throw late();
    return place;
  };
  const running = (): Group[] => (groups ?? []).filter(({ stage }) => stage !== 'failed');
  /** Closes a stage of every group that is left. */
  const closeAll = async (
    close: (group: Group) => Map<number, Uint8Array> | Promise<Map<number, Uint8Array>>,
  ): Promise<Bodies> => {
    const bodies = new Map<ParticipantId, Uint8Array>();
    for (const group of running()) for (const [v, body] of await close(group)) bodies.set(group.ids[v]!, body);
    if (running().length === 0) throw new TacitError('round/too-few-participants', 'too few are left in every group');
    return bodies;
  };
  const form = async (
    entries: readonly Advertisement[],
    all: readonly Advertisement[],
  ): Promise<[Group, Uint8Array]> => {
    const sessionId = await sessionIdOf(crypto, offerHash, entries);
    const group = createGroup({
      ...{ crypto, identity, planHash, exchanges, sessionId, entries, floor: floorOf(options) },
      ...(options.threads === undefined ? {} : { threads: options.threads }),
    });
    return [group, encodeRoster({ entries: all, signature: await identity.sign(rosterStatement(sessionId)) })];
  };

  return {
    async advertised(participant, body) {
      if (groups) throw late();
      await register.add(participant, body);
    },
    async roster() {
      if (groups) throw new TacitError('internal', 'a second roster of one session');
      groups = []; // closed from now on
      const come = register.entries();
      const all = come.slice(0, admissible(come.length, options));
      all.sort((a, b) => compareBytes(a.identity, b.identity));
      if (all.length === 0) {
        throw new TacitError(
          'round/too-few-participants',
          `${come.length} participants, ${floorOf(options)} are needed`,
        );
      }
      const drawn = await drawGroups(crypto, offerHash, all, maxGroup);
      const formed = await Promise.all(drawn.map((entries) => form(entries, all)));
      groups = formed.map(([group]) => group);
      const bodies = new Map<ParticipantId, Uint8Array>();
      for (const [group, body] of formed) {
        for (const [index, id] of group.ids.entries()) {
          places.set(id, { group, index });
          bodies.set(id, body);
        }
      }
      return bodies;
    },
    shared: async (participant, body) => {
      const { group, index } = placeOf(participant);
      await group.shared(index, body);
    },
    delivery: () => closeAll((group) => group.closeSharing()),
    masked: (participant, exchange, words) => {
      const { group, index } = placeOf(participant);
      group.masked(index, exchange, words);
    },
    survivors: (exchange, startHash = modelHash) => closeAll((group) => group.closeMasking(exchange, startHash)),
    agreed: async (participant, body) => {
      const { group, index } = placeOf(participant);
      await group.agreed(index, body);
    },
    agreements: (exchange) => closeAll((group) => group.closeAgreeing(exchange)),
    unmasking: async (participant, body) => {
      const { group, index } = placeOf(participant);
      group.unmasking(index, body);
    },
    openable: (exchange) => running().length > 0 && running().every((group) => group.openable(exchange)),
    open: (exchange) => openAll(running(), exchange, exchanges[exchange] ?? 0),
    awaited: () => running().flatMap((group) => group.awaited().map((v) => group.ids[v]!)),
    wipe: () => {
      register.clear();
      for (const group of groups ?? []) group.wipe();
    },
  };
}

/** Opens the groups one after the other and adds their sums up. @throws TacitError secagg/unrecoverable if none opens */
async function openAll(groups: readonly Group[], exchange: number, words: number): Promise<OpenedExchange> {
  const sum = new Int32Array(words);
  const participants: ParticipantId[] = [];
  const blamed: ParticipantId[] = [];
  for (const group of groups) {
    const opened = await group.open(exchange);
    if (!opened) continue;
    addWords(sum, opened.sum);
    participants.push(...opened.participants);
    blamed.push(...opened.blamed);
  }
  if (participants.length === 0) {
    throw new TacitError('secagg/unrecoverable', 'no group has enough good shares to open its sum');
  }
  return { sum, participants, blamed };
}
