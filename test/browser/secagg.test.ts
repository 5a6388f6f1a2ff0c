/** A whole session in a browser: masks, shares, boxes and signatures by WebCrypto, and with the curves of tweetnacl. */
import { describe, expect, test } from 'vitest';
import { compareBytes, toWords } from '../../protocol/bytes.ts';
import { createWebCrypto, webCrypto } from '../../protocol/crypto/web.ts';
import { identityFromSeed } from '../../protocol/identity.ts';
import { maskKey } from '../../protocol/secagg/masks.ts';
import {
  decodeAdvertisement,
  decodeShares,
  decodeUnmasking,
  encodeAgreements,
  encodeDelivery,
  encodeRoster,
  encodeSurvivors,
} from '../../protocol/secagg/objects.ts';
import { openSession } from '../../protocol/secagg/participant.ts';
import { checkAgreed, checkSurvivors, revealOf, thresholdOf } from '../../protocol/secagg/rules.ts';
import { recoverSecret, splitSecret } from '../../protocol/secagg/shares.ts';
import {
  commitOf,
  rosterStatement,
  selfInfo,
  sessionIdOf,
  survivorsHashOf,
  survivorsStatement,
} from '../../protocol/secagg/statements.ts';

const fill = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

describe.each([
  ['web', webCrypto],
  ['web, curves of tweetnacl', createWebCrypto('tweetnacl')],
])('secure aggregation in a browser, %s', (_, crypto) => {
  test('four participants, their sum opened by hand', async () => {
    const size = 4;
    const everyone = [0, 1, 2, 3];
    const identities = await Promise.all(everyone.map(() => identityFromSeed(crypto, crypto.randomBytes(32))));
    identities.sort((a, b) => compareBytes(a.publicKey, b.publicKey));
    const coordinator = await identityFromSeed(crypto, fill(1));
    const terms = {
      offerHash: fill(2),
      planHash: fill(3),
      modelHash: fill(4),
      exchanges: [70_001],
      minCohort: 4,
      maxCohort: 9,
    };
    const sessions = identities.map((identity) =>
      openSession({
        ...terms,
        crypto,
        identity,
        serverKey: coordinator.publicKey,
        policyMinCohort: 3,
        certificate: new Uint8Array(0),
      }),
    );

    const bodies = await Promise.all(sessions.map((session) => session.advertise()));
    const entries = bodies.map((body) => decodeAdvertisement(body, 1));
    const sessionId = await sessionIdOf(crypto, terms.offerHash, entries);
    const roster = encodeRoster({ entries, signature: await coordinator.sign(rosterStatement(sessionId)) });
    const sent = (await Promise.all(sessions.map((session) => session.share(roster)))).map((body) =>
      decodeShares(body, size, 1),
    );
    for (const to of everyone) {
      const boxes = everyone.filter((from) => from !== to).map((from) => sent[from]!.boxes[to < from ? to : to - 1]!);
      await sessions[to]!.receive(encodeDelivery({ members: everyone, boxes }, size));
    }
    const words = everyone.map((v) => Int32Array.from({ length: 70_001 }, (__, i) => (i % 1000) * (v + 1)));
    const sum = new Int32Array(70_001);
    for (const v of everyone) {
      const y = toWords(await sessions[v]!.mask(0, words[v]!.slice()));
      expect(y.filter((word, i) => word === words[v]![i]).length).toBeLessThan(3);
      for (let i = 0; i < y.length; i++) sum[i] = (sum[i]! + y[i]!) | 0;
    }
    const hash = await survivorsHashOf(
      crypto,
      identities.map(({ publicKey }) => publicKey),
    );
    const signature = await coordinator.sign(survivorsStatement(sessionId, 0, hash));
    const survivors = encodeSurvivors({ exchange: 0, members: everyone, signature }, size);
    const signatures = (await Promise.all(sessions.map((session) => session.agree(survivors)))).map((body) =>
      body.slice(-64),
    );
    const agreements = encodeAgreements({ exchange: 0, members: everyone, signatures }, size);
    const given = (await Promise.all(sessions.map((session) => session.unmask(agreements)))).map((body) =>
      decodeUnmasking(body, { self: 4, key: 0 }),
    );

    const context = { sessionId, startHash: terms.modelHash, planHash: terms.planHash, exchange: 0 };
    for (const v of everyone) {
      const own = identities[v]!.publicKey;
      const shares = given.map(({ selfShares }, from) => ({ from, share: selfShares[v]! }));
      const found = await recoverSecret(shares, thresholdOf(size), {
        verify: async (b) => compareBytes(await commitOf(crypto, sessionId, own, b), sent[v]!.commits[0]!) === 0,
        fits: async () => false,
      });
      await crypto.applyMasks(sum, [{ key: await maskKey(crypto, found.secret!, selfInfo(context, own)), sign: -1 }]);
    }
    expect(sum).toEqual(Int32Array.from({ length: 70_001 }, (__, i) => (i % 1000) * 10));
    expect(sessions.map(({ phase }) => phase)).toEqual(Array(4).fill('finished'));
  });
});

test('the rules, and shares by the browser’s randomness', async () => {
  expect(revealOf([0, 1, 2, 3], [0, 2])).toEqual({ self: [0, 2], key: [1, 3] });
  const group = { size: 4, self: 0, floor: 3 };
  expect(() => checkSurvivors(group, [0, 1, 2, 3], [1, 2, 3])).toThrow(
    expect.objectContaining({ code: 'secagg/refused' }),
  );
  expect(() => checkAgreed(group, [0, 1, 2, 3], [0, 1])).toThrow(expect.objectContaining({ code: 'secagg/refused' }));
  const shares = await splitSecret(fill(7), 5, 0, 3);
  const found = await recoverSecret(
    shares.map((share, from) => ({ from, share: share! })),
    3,
    { verify: async (secret) => secret.every((byte) => byte === 7), fits: async () => false },
  );
  expect(found).toMatchObject({ wrong: [], isDealt: true });
});
