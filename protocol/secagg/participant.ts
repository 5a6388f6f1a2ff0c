/**
 * The participant's half of secure aggregation (SPEC.md §13): performs with cryptography what participant-state.ts decides. Steps run one
 * after the other; the first error ends the session and erases its secrets, so that no later message can draw anything from it. The
 * same body again has the same answer as before, for a connection that broke while an answer was under way.
 */
import { asBytes, equalBytes } from '../bytes.ts';
import type { Mask } from '../crypto/masks.ts';
import { TacitError } from '../errors.ts';
import { participantId, verifyStatement } from '../identity.ts';
import type { ParticipantId } from '../ids.ts';
import { openShares } from './boxes.ts';
import type { ParticipantOptions, ParticipantPhase, ParticipantSession } from './contracts.ts';
import { maskKey } from './masks.ts';
import {
  decodeAgreements,
  decodeDelivery,
  decodeSurvivors,
  encodeAdvertisement,
  encodeAgreement,
  encodeComplaint,
  encodeUnmasking,
} from './objects.ts';
import {
  admitGroup,
  makeKeys,
  type OwnGroup,
  type OwnKeys,
  type Peer,
  pairWithAll,
  shareSecrets,
} from './participant-keys.ts';
import { advance, type ParticipantEvent, type ParticipantState } from './participant-state.ts';
import { checkComplaint, checkTerms, type Reveal } from './rules.ts';
import { SHARE_BYTES } from './shares.ts';
import {
  agreeStatement,
  complaintStatement,
  pairInfo,
  selfInfo,
  sessionIdOf,
  survivorsHashOf,
  survivorsStatement,
} from './statements.ts';
import { createVault } from './vault.ts';

const NOTHING = new Uint8Array(0);
/** In the place of a share that one complained of. */
const NO_SHARE: Uint8Array = new Uint8Array(SHARE_BYTES);
const over = (): TacitError => new TacitError('wire/unexpected', 'the secure aggregation session is over');

/** A bad box is complained of; anything else ends the session. */
function unlessBad(thrown: unknown): undefined {
  if (!(thrown instanceof TacitError) || thrown.code !== 'secagg/bad-share') throw thrown;
}

/** Opens a session. @throws TacitError plan/refused if no session can hold under these terms */
export function openSession(options: ParticipantOptions): ParticipantSession {
  checkTerms(options, options.exchanges);
  return new Session(options);
}

class Session implements ParticipantSession {
  private readonly options: ParticipantOptions;
  private readonly vault = createVault();
  private readonly answers = new Map<string, { readonly input: Uint8Array; readonly output: Uint8Array }>();
  private state: ParticipantState = { phase: 'opened' };
  private keys: OwnKeys | undefined;
  private known: OwnGroup | undefined;
  private tail: Promise<unknown> = Promise.resolve();

  constructor(options: ParticipantOptions) {
    this.options = options;
  }

  advertise(): Promise<Uint8Array> {
    return this.answer('advertise', NOTHING, async () => {
      this.take({ type: 'advertise' });
      this.keys = await makeKeys(this.options, this.vault);
      return encodeAdvertisement(this.keys.advertisement);
    });
  }

  share(roster: Uint8Array): Promise<Uint8Array> {
    return this.answer('share', roster, () => this.onRoster(roster));
  }

  async receive(delivery: Uint8Array): Promise<Uint8Array | undefined> {
    const complaint = await this.answer('receive', delivery, () => this.onDelivery(delivery));
    return complaint.length > 0 ? complaint : undefined;
  }

  mask(exchange: number, words: Int32Array, startHash = this.options.modelHash): Promise<Uint8Array> {
    return this.step(() => this.onWords(exchange, words, startHash));
  }

  agree(survivors: Uint8Array): Promise<Uint8Array> {
    return this.answer('agree', survivors, () => this.onSurvivors(survivors));
  }

  unmask(agreements: Uint8Array): Promise<Uint8Array> {
    return this.answer('unmask', agreements, () => this.onAgreements(agreements));
  }

  wipe(): void {
    if (this.state.phase !== 'finished') this.state = { phase: 'failed' };
    this.vault.wipe();
    this.answers.clear();
  }

  get sessionId(): Uint8Array | undefined {
    return this.known?.sessionId;
  }

  get group(): readonly ParticipantId[] {
    return this.known?.entries.map(({ identity }) => participantId(identity)) ?? [];
  }

  get phase(): ParticipantPhase {
    return this.state.phase;
  }

  // ------------------------------------------------------------------ order

  private take(event: ParticipantEvent): Reveal | undefined {
    const next = advance(this.state, event, this.options.exchanges.length);
    this.state = next.state;
    return next.reveal;
  }

  /** Runs a step after those before it; its result counts only if nobody wiped the session meanwhile. */
  private step<T>(run: () => Promise<T>): Promise<T> {
    const result = this.tail.then(async () => {
      this.requireAlive();
      try {
        const value = await run();
        this.requireAlive();
        return value;
      } catch (thrown) {
        if (this.state.phase !== 'finished') this.wipe();
        throw thrown;
      }
    });
    this.tail = result.catch(() => {});
    return result;
  }

  /** A step that answers a body; the same body again has the same answer. */
  private answer(name: string, input: Uint8Array, run: () => Promise<Uint8Array>): Promise<Uint8Array> {
    return this.step(async () => {
      const before = this.answers.get(name);
      if (before && equalBytes(before.input, input)) return before.output;
      const output = await run();
      this.answers.set(name, { input: input.slice(), output });
      return output;
    });
  }

  private requireAlive(): void {
    if (this.state.phase === 'failed') throw over();
  }

  private inGroup(): OwnGroup {
    if (!this.known) throw new TacitError('wire/unexpected', 'there is no roster yet');
    return this.known;
  }

  private survivorsHash(survivors: readonly number[]): Promise<Uint8Array> {
    const { entries } = this.inGroup();
    return survivorsHashOf(
      this.options.crypto,
      survivors.map((v) => entries[v]!.identity),
    );
  }

  // ------------------------------------------------------------------ stages

  private async onRoster(body: Uint8Array): Promise<Uint8Array> {
    const { options, vault, keys } = this;
    if (this.state.phase !== 'advertised' || !keys) throw new TacitError('wire/unexpected', 'a roster out of order');
    const own = keys.advertisement;
    const { entries, floor } = await admitGroup(options, own, body);
    const self = entries.findIndex((entry) => equalBytes(entry.identity, own.identity));
    const sessionId = await sessionIdOf(options.crypto, options.offerHash, entries);
    const peers: (Peer | undefined)[] = await pairWithAll(options, vault, keys, entries.toSpliced(self, 1));
    peers.splice(self, 0, undefined);
    this.take({ type: 'roster', group: { size: entries.length, self, floor } });
    const base = { sessionId, entries, self, peers };
    const shared = await shareSecrets(options, vault, keys, base);
    this.known = { ...base, b: shared.b, ownShares: shared.ownShares };
    return shared.body;
  }

  private async onDelivery(body: Uint8Array): Promise<Uint8Array> {
    const { crypto, identity, exchanges } = this.options;
    const { sessionId, entries, self, peers } = this.inGroup();
    const { members, boxes } = decodeDelivery(body, entries.length, exchanges.length);
    this.take({ type: 'delivery', members });
    const dealers: number[] = [];
    for (const [i, v] of members.filter((v) => v !== self).entries()) {
      const peer = peers[v]!;
      const route = { sessionId, from: peer.entry.identity, to: identity.publicKey };
      const held = await openShares(crypto, peer.boxKey, route, boxes[i]!, exchanges.length).catch(unlessBad);
      for (const secret of held ? [...held.key, ...held.self] : []) this.vault.keep(secret);
      if (held) peer.held = held;
      else dealers.push(v);
    }
    this.vault.erase(peers.map((peer) => peer?.boxKey));
    if (this.keys) this.vault.erase([this.keys.channel.secretKey]);
    checkComplaint(entries.length, dealers);
    if (dealers.length === 0) return NOTHING;
    const signature = await identity.sign(complaintStatement(sessionId, dealers, entries.length));
    return encodeComplaint({ dealers, signature }, entries.length);
  }

  private async onWords(exchange: number, words: Int32Array, startHash: Uint8Array): Promise<Uint8Array> {
    const { crypto, exchanges } = this.options;
    const { peers, b } = this.inGroup();
    if (words.length !== exchanges[exchange]) throw new RangeError(`${words.length} words in exchange ${exchange}`);
    if (this.state.phase !== 'ready') {
      throw new TacitError('wire/unexpected', `masking while the session is ${this.state.phase}`);
    }
    const { members } = this.state;
    this.take({ type: 'mask', exchange });
    const masks = await this.masksWith(members, exchange, startHash);
    await crypto.applyMasks(words, masks);
    this.vault.erase(masks.map(({ key }) => key));
    this.vault.erase([b[exchange], ...peers.map((peer) => peer?.maskSecrets[exchange])]);
    return asBytes(words);
  }

  /** One's own mask, and those that are shared with these members. */
  private async masksWith(members: readonly number[], exchange: number, startHash: Uint8Array): Promise<Mask[]> {
    const { crypto, identity, planHash } = this.options;
    const { sessionId, self, peers, b } = this.inGroup();
    const context = { sessionId, startHash, planHash, exchange };
    const own = identity.publicKey;
    const derive = (secret: Uint8Array, info: Uint8Array): Promise<Uint8Array> =>
      maskKey(crypto, secret, info).then((key) => this.vault.keep(key));
    const masks: Mask[] = [{ key: await derive(b[exchange]!, selfInfo(context, own)), sign: 1 }];
    for (const v of members) {
      const peer = peers[v];
      if (!peer) continue;
      const other = peer.entry.identity;
      const info = self < v ? pairInfo(context, own, other) : pairInfo(context, other, own);
      masks.push({ key: await derive(peer.maskSecrets[exchange]!, info), sign: self < v ? 1 : -1 });
    }
    return masks;
  }

  private async onSurvivors(body: Uint8Array): Promise<Uint8Array> {
    const { crypto, identity, serverKey } = this.options;
    const { sessionId, entries } = this.inGroup();
    const { exchange, members, signature } = decodeSurvivors(body, entries.length);
    const hash = await this.survivorsHash(members);
    await verifyStatement(crypto, serverKey, survivorsStatement(sessionId, exchange, hash), signature);
    this.take({ type: 'survivors', exchange, survivors: members });
    return encodeAgreement({ exchange, signature: await identity.sign(agreeStatement(sessionId, exchange, hash)) });
  }

  private async onAgreements(body: Uint8Array): Promise<Uint8Array> {
    const { sessionId, entries, peers } = this.inGroup();
    if (this.state.phase !== 'agreed') throw new TacitError('wire/unexpected', 'agreements out of order');
    const { exchange, members, signatures } = decodeAgreements(body, entries.length);
    const statement = agreeStatement(sessionId, exchange, await this.survivorsHash(this.state.survivors));
    for (const [i, v] of members.entries()) {
      await verifyStatement(this.options.crypto, entries[v]!.identity, statement, signatures[i]!);
    }
    this.requireAlive(); // wiped meanwhile: there is nothing left to give
    const reveal = this.take({ type: 'agreements', exchange, agreed: members })!;
    const output = this.sharesFor(exchange, reveal);
    if (this.phase === 'finished') this.vault.wipe();
    else this.vault.erase(peers.flatMap((peer) => [peer?.held?.self[exchange], peer?.held?.key[exchange]]));
    return output;
  }

  /** The body with one share of one secret of each member. */
  private sharesFor(exchange: number, reveal: Reveal): Uint8Array {
    const { self, peers, ownShares } = this.inGroup();
    const held = (v: number, kind: 'self' | 'key'): Uint8Array => peers[v]!.held?.[kind][exchange] ?? NO_SHARE;
    const selfShares = reveal.self.map((v) => (v === self ? ownShares[exchange] : held(v, 'self')));
    const keyShares = reveal.key.map((v) => held(v, 'key'));
    const given = selfShares.filter((one) => one !== undefined);
    return encodeUnmasking({ exchange, selfShares: given, keyShares });
  }
}
