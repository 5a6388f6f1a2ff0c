/** protocol/vectors/secagg.json in both directions: its bodies are read and written again, and its sums follow from its secrets. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { asBytes, concat, equalBytes, fromHex, toHex, toWords, utf8 } from '../../protocol/bytes.ts';
import { canon, u8 } from '../../protocol/canon.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { addWords } from '../../protocol/fixed-point.ts';
import { verifyStatement } from '../../protocol/identity.ts';
import { boxKey, openShares, sealShares } from '../../protocol/secagg/boxes.ts';
import { drawGroups } from '../../protocol/secagg/groups.ts';
import * as objects from '../../protocol/secagg/objects.ts';
import { revealOf, thresholdOf } from '../../protocol/secagg/rules.ts';
import { recoverSecret } from '../../protocol/secagg/shares.ts';
import * as statements from '../../protocol/secagg/statements.ts';

interface Body {
  participant: number;
  body: Uint8Array;
}
interface Round {
  startHash: Uint8Array;
  words: { participant: number; words: number[]; masked: Uint8Array }[];
  survivors: Uint8Array;
  agreements: Body[];
  shown: Uint8Array;
  unmaskings: Body[];
  sum: number[];
}
interface Vector {
  offerHash: Uint8Array;
  planHash: Uint8Array;
  serverKey: Uint8Array;
  exchanges: number[];
  participants: {
    seed: Uint8Array;
    maskSecrets: Uint8Array[];
    channelSecret: Uint8Array;
    advertisement: Uint8Array;
    shares: Uint8Array;
  }[];
  sessionId: Uint8Array;
  roster: Uint8Array;
  deliveries: Uint8Array[];
  complaint: { participant: number; dealers: number[]; body: Uint8Array };
  rounds: Round[];
  groupsOfFour: Uint8Array[][];
}

const text = readFileSync(new URL('../../protocol/vectors/secagg.json', import.meta.url), 'utf8');
const file: Vector = JSON.parse(text, (_, value) =>
  typeof value === 'object' && value !== null && '$hex' in value ? fromHex(value.$hex) : value,
);
const size = file.participants.length;
const count = file.exchanges.length;
const entries = file.participants.map(({ advertisement }) => objects.decodeAdvertisement(advertisement, count));
const identityOf = (v: number): Uint8Array => entries[v]!.identity;
const membersOf = (round: Round): number[] => round.words.map(({ participant }) => participant);
const survivorsOf = (round: Round): readonly number[] => objects.decodeSurvivors(round.survivors, size).members;
const unmaskingOf = (round: Round, body: Uint8Array): objects.Unmasking => {
  const { self, key } = revealOf(membersOf(round), survivorsOf(round));
  return objects.decodeUnmasking(body, { self: self.length, key: key.length });
};

/** b of a participant in an exchange, from the shares in the boxes that it sent. */
async function selfSecret(v: number, e: number): Promise<Uint8Array> {
  const { commits, boxes } = objects.decodeShares(file.participants[v]!.shares, size, count);
  const others = file.participants.map((_, i) => i).filter((i) => i !== v);
  const given = await Promise.all(
    others.map(async (to, i) => {
      const shared = await nodeCrypto.x25519(file.participants[to]!.channelSecret, entries[v]!.channelKey);
      const route = { sessionId: file.sessionId, from: identityOf(v), to: identityOf(to) };
      const held = await openShares(nodeCrypto, boxKey(shared), route, boxes[i]!, count);
      return { from: to, share: held.self[e]! };
    }),
  );
  const verify = async (b: Uint8Array): Promise<boolean> =>
    equalBytes(await statements.commitOf(nodeCrypto, file.sessionId, identityOf(v), b), commits[e]!);
  return (await recoverSecret(given, thresholdOf(size), { verify, fits: async () => false })).secret!;
}

describe('secagg.json', () => {
  test('[SB1] bodies are read and written again', () => {
    const same = (made: Uint8Array, known: Uint8Array) => expect(toHex(made)).toBe(toHex(known));
    same(objects.encodeRoster(objects.decodeRoster(file.roster, count)), file.roster);
    for (const [v, { advertisement, shares }] of file.participants.entries()) {
      same(objects.encodeAdvertisement(entries[v]!), advertisement);
      same(objects.encodeShares(objects.decodeShares(shares, size, count)), shares);
      const delivery = file.deliveries[v]!;
      same(objects.encodeDelivery(objects.decodeDelivery(delivery, size, count), size), delivery);
    }
    for (const round of file.rounds) {
      same(objects.encodeSurvivors(objects.decodeSurvivors(round.survivors, size), size), round.survivors);
      same(objects.encodeAgreements(objects.decodeAgreements(round.shown, size), size), round.shown);
      for (const { body } of round.agreements) same(objects.encodeAgreement(objects.decodeAgreement(body)), body);
      for (const { body } of round.unmaskings) same(objects.encodeUnmasking(unmaskingOf(round, body)), body);
    }
  });

  test('[SB2] anything else is refused', () => {
    const refuses = (read: () => unknown) => expect(read).toThrow(expect.objectContaining({ code: 'wire/malformed' }));
    const [{ shares }] = file.participants as [Vector['participants'][0]];
    const { survivors } = file.rounds[0]!;
    for (const length of [0, 5, survivors.length - 1])
      refuses(() => objects.decodeSurvivors(survivors.slice(0, length), size));
    refuses(() => objects.decodeSurvivors(concat(survivors, Uint8Array.of(0, 0, 0, 0)), size));
    refuses(() => objects.decodeSurvivors(survivors, size + 8));
    refuses(() => objects.decodeSurvivors(shares, size));
    refuses(() => objects.decodeShares(shares, size + 1, count));
    refuses(() => objects.decodeShares(shares, size, count + 1));
    const beyond = objects.encodeSurvivors({ exchange: 0, members: [0, size], signature: new Uint8Array(64) }, size);
    refuses(() => objects.decodeSurvivors(beyond, size));
  });

  test('[SH1] the session’s id, keys, and every signature', async () => {
    const verify = (key: Uint8Array, statement: Uint8Array, signature: Uint8Array) =>
      verifyStatement(nodeCrypto, key, statement, signature);
    expect(toHex(await statements.sessionIdOf(nodeCrypto, file.offerHash, entries))).toBe(toHex(file.sessionId));
    const roster = objects.decodeRoster(file.roster, count);
    await verify(file.serverKey, canon('roster-srv', file.sessionId), roster.signature);
    for (const [v, { seed, maskSecrets, channelSecret, shares }] of file.participants.entries()) {
      const { identity, maskKeys, channelKey, signature } = entries[v]!;
      expect(toHex((await nodeCrypto.ed25519KeyPair(seed)).publicKey)).toBe(toHex(identity));
      const keys = await Promise.all([...maskSecrets, channelSecret].map((secret) => nodeCrypto.x25519KeyPair(secret)));
      expect(keys.map(({ publicKey }) => toHex(publicKey))).toEqual([...maskKeys, channelKey].map(toHex));
      await verify(identity, canon('advertise', file.offerHash, concat(...maskKeys), channelKey), signature);
      const sent = objects.decodeShares(shares, size, count);
      const boxesHash = await nodeCrypto.sha256(canon('boxes', concat(...sent.boxes)));
      await verify(identity, canon('shares', file.sessionId, concat(...sent.commits), boxesHash), sent.signature);
    }
    for (const [e, round] of file.rounds.entries()) {
      const { members, signature } = objects.decodeSurvivors(round.survivors, size);
      const hash = await nodeCrypto.sha256(canon('survivors', ...members.map(identityOf)));
      await verify(file.serverKey, canon('survivors-srv', file.sessionId, u8(e), hash), signature);
      const shown = objects.decodeAgreements(round.shown, size);
      for (const [i, v] of shown.members.entries()) {
        await verify(identityOf(v), canon('u3', file.sessionId, u8(e), hash), shown.signatures[i]!);
        expect(toHex(objects.decodeAgreement(round.agreements[i]!.body).signature)).toBe(toHex(shown.signatures[i]!));
      }
    }
  });

  test('[SA5] a complaint', async () => {
    const { participant, dealers, body } = file.complaint;
    const { signature, ...read } = objects.decodeComplaint(body, size);
    expect(read.dealers).toEqual(dealers);
    expect(toHex(objects.encodeComplaint({ dealers, signature }, size))).toBe(toHex(body));
    const set = Uint8Array.of(dealers.reduce((bits, v) => bits | (1 << v), 0));
    await verifyStatement(nodeCrypto, identityOf(participant), canon('complaint', file.sessionId, set), signature);
  });

  test('[SH2] what an exchange started from', async () => {
    const [first, second] = file.rounds as [Round, Round];
    expect(toHex(await statements.startHashOf(nodeCrypto, [first.startHash]))).toBe(toHex(first.startHash));
    const blobs = [first.startHash, new Uint8Array(32).fill(0x90)];
    expect(toHex(await statements.startHashOf(nodeCrypto, blobs))).toBe(toHex(second.startHash));
  });

  test('[SA4] groups of at most four', async () => {
    const groups = await drawGroups(nodeCrypto, file.offerHash, entries, 4);
    expect(groups.map((group) => group.map(({ identity }) => toHex(identity)))).toEqual(
      file.groupsOfFour.map((group) => group.map(toHex)),
    );
  });

  test('[SA5] [SS3] boxes hold both shares of each exchange for their recipient, whichever side opens them', async () => {
    for (const [to, delivery] of file.deliveries.entries()) {
      const { members, boxes } = objects.decodeDelivery(delivery, size, count);
      for (const [i, from] of members.filter((v) => v !== to).entries()) {
        const shared = await nodeCrypto.x25519(file.participants[to]!.channelSecret, entries[from]!.channelKey);
        const key = boxKey(shared);
        const route = { sessionId: file.sessionId, from: identityOf(from), to: identityOf(to) };
        const opened = await openShares(nodeCrypto, key, route, boxes[i]!, count);
        const nonce = boxes[i]!.slice(0, 24);
        const again = await sealShares({ ...nodeCrypto, randomBytes: () => nonce }, key, route, opened);
        expect(toHex(again)).toBe(toHex(boxes[i]!));
        const bad = expect.objectContaining({ code: 'secagg/bad-share' });
        const other = { ...route, to: identityOf(from) };
        await expect(openShares(nodeCrypto, key, other, boxes[i]!, count)).rejects.toEqual(bad);
        for (const [kind, shares] of [[0, opened.key] as const, [1, opened.self] as const]) {
          for (const [e, share] of shares.entries()) {
            const ids = [file.sessionId, identityOf(from), identityOf(to)];
            const hash = await nodeCrypto.sha256(canon('mark', ...ids, u8(e), u8(kind), share));
            const at = boxes[i]!.length - 16 * (2 * count - kind * count - e);
            expect(toHex(boxes[i]!.slice(at, at + 16))).toBe(toHex(hash.subarray(0, 16)));
            const mauled = boxes[i]!.slice();
            mauled[at + e]! ^= 1;
            await expect(openShares(nodeCrypto, key, route, mauled, count)).rejects.toEqual(bad);
          }
        }
      }
    }
  });

  test('[MK1] [MK2] [MK3] masked words follow from words and secrets', async () => {
    const key = (secret: Uint8Array, info: Uint8Array) => nodeCrypto.hkdfSha256(secret, utf8('fsa/1'), info, 32);
    for (const [e, round] of file.rounds.entries()) {
      const context = [file.sessionId, round.startHash, file.planHash, u8(e)];
      for (const { participant: u, words, masked } of round.words) {
        const y = Int32Array.from(words);
        const add = async (secret: Uint8Array, info: Uint8Array, sign: 1 | -1) =>
          nodeCrypto.applyMasks(y, [{ key: await key(secret, info), sign }]);
        await add(await selfSecret(u, e), canon('self', ...context, identityOf(u)), 1);
        for (const v of membersOf(round).filter((other) => other !== u)) {
          const shared = await nodeCrypto.x25519(file.participants[u]!.maskSecrets[e]!, entries[v]!.maskKeys[e]!);
          const [low, high] = u < v ? [u, v] : [v, u];
          await add(shared, canon('pair', ...context, identityOf(low), identityOf(high)), u < v ? 1 : -1);
        }
        expect(toHex(asBytes(y))).toBe(toHex(masked));
      }
    }
  });

  test('[MK4] [SA2] [SA10] the sum is that of the survivors, and the shares given are those of the right secrets', async () => {
    for (const [e, round] of file.rounds.entries()) {
      const { self, key } = revealOf(membersOf(round), survivorsOf(round));
      const sum = new Int32Array(file.exchanges[e]!);
      for (const { participant, words } of round.words)
        if (self.includes(participant)) addWords(sum, Int32Array.from(words));
      expect([...sum]).toEqual(round.sum);
      expect(toWords(asBytes(sum))).toEqual(sum);
      const given = round.unmaskings.map(({ participant, body }) => ({
        from: participant,
        ...unmaskingOf(round, body),
      }));
      for (const [i, v] of key.entries()) {
        const shares = given.map(({ from, keyShares }) => ({ from, share: keyShares[i]! }));
        const verify = async (secret: Uint8Array) =>
          equalBytes((await nodeCrypto.x25519KeyPair(secret)).publicKey, entries[v]!.maskKeys[e]!);
        const { secret } = await recoverSecret(shares, thresholdOf(size), { verify, fits: async () => false });
        expect(toHex(secret!)).toBe(toHex(file.participants[v]!.maskSecrets[e]!));
      }
      for (const [i, v] of self.entries()) {
        const shares = given.map(({ from, selfShares }) => ({ from, share: selfShares[i]! }));
        const b = toHex(await selfSecret(v, e));
        const verify = async (secret: Uint8Array) => toHex(secret) === b;
        expect(
          (await recoverSecret(shares, thresholdOf(size), { verify, fits: async () => false })).secret,
        ).toBeDefined();
      }
    }
  });
});
