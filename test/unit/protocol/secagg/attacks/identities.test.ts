/** What can be tried with participants that were made up and keys that are not their own: each named as in the threat list, each failing closed. */
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../../../protocol/crypto/node.ts';
import { TacitError } from '../../../../../protocol/errors.ts';
import {
  decodeAdvertisement,
  decodeRoster,
  encodeAdvertisement,
  encodeRoster,
} from '../../../../../protocol/secagg/objects.ts';
import { advertiseStatement, rosterStatement, sessionIdOf } from '../../../../../protocol/secagg/statements.ts';
import { LOW_ORDER_X25519 } from '../../../../contract/crypto-provider.ts';
import { OFFER_HASH, openCohort, type Play, play } from '../../../../fixtures/secagg.ts';
import { attacked, coded, codesOf, type Errors, otherSurvivors } from '../../../../fixtures/secagg-attacks.ts';

/** Replaces the roster that everyone is shown, without the coordinator's signature over it. */
const forgedRoster =
  (forge: (body: Uint8Array) => Uint8Array): Play['hook'] =>
  (step, _, body, __, way) =>
    step === 'share' && way === 'down' ? forge(body) : body;

describe('A6 participants that the coordinator made up', () => {
  test('a roster with an uncertified one is refused where certificates are required', async () => {
    const certificate = (i: number) => Uint8Array.of(1, i);
    const checkCertificate = async (_: Uint8Array, shown: Uint8Array): Promise<void> => {
      if (shown.length === 0) throw new TacitError('auth/certificate-required', 'no certificate');
    };
    const cohort = await openCohort({
      participants: 6,
      // the hostile coordinator finds all of them good
      server: { checkCertificate: async () => {} },
      participant: (i) => ({ checkCertificate, certificate: i === 3 ? new Uint8Array(0) : certificate(i) }),
    });
    const errors: Errors = [];
    await expect(play(cohort, { errors })).rejects.toEqual(coded('round/too-few-participants'));
    expect(codesOf(errors, 'participant')).toEqual(Array(6).fill('auth/certificate-required'));
    const honest = await openCohort({ participants: 6, server: { checkCertificate } });
    const body = await honest.members[0]!.session.advertise();
    await expect(honest.server.advertised(honest.members[0]!.identity.id, body)).rejects.toEqual(
      coded('auth/certificate-required'),
    );
  });

  test('[SA3] a certificate that nobody asked for is refused on both sides: it would only make the roster longer', async () => {
    const padded = {
      participants: 6,
      participant: (i: number) => ({ certificate: new Uint8Array(i === 3 ? 1024 : 0) }),
    };
    const honest = await openCohort(padded);
    const body = await honest.members[3]!.session.advertise();
    await expect(honest.server.advertised(honest.members[3]!.identity.id, body)).rejects.toEqual(
      coded('auth/certificate-invalid'),
    );
    const errors: Errors = [];
    const lenient = await openCohort({ ...padded, server: { checkCertificate: async () => {} } });
    await expect(play(lenient, { errors })).rejects.toEqual(coded('round/too-few-participants'));
    expect(codesOf(errors, 'participant')).toEqual(Array(6).fill('auth/certificate-invalid'));
  });

  test('a name with keys that it did not sign', async () => {
    const { errors } = await attacked({ participants: 6 }, () => {
      const forge = (body: Uint8Array): Uint8Array => {
        const { entries, signature } = decodeRoster(body, 1);
        const forged = entries.map((entry, i) =>
          i === 2 ? { ...entry, channelKey: entries[1]!.channelKey.map((b, k) => (k === 0 ? b ^ 1 : b)) } : entry,
        );
        return encodeRoster({ entries: forged, signature });
      };
      return forgedRoster(forge);
    });
    expect(new Set(codesOf(errors, 'participant'))).toEqual(new Set(['auth/bad-signature', 'secagg/refused']));
  });
});

describe('A7 the sum of a few', () => {
  test.each(['policy', 'plan'] as const)('a roster below the floor of the %s', async (whose) => {
    const floor = whose === 'policy' ? { policyMinCohort: 7 } : { minCohort: 7 };
    const { errors, failure } = await attacked({ participants: 6, participant: () => floor }, () => undefined);
    expect(codesOf(errors, 'participant')).toEqual(Array(6).fill('round/too-few-participants'));
    expect(failure?.code).toBe('round/too-few-participants');
  });

  test('survivors below the threshold, however well signed', async () => {
    const cohort = await openCohort({ participants: 9 });
    const bodies = new Map<number, Uint8Array>();
    await play(cohort, {
      hook: (step, i, body, _, way) => {
        if (step === 'agree' && way === 'down') bodies.set(i, body);
        return step === 'agree' ? undefined : body;
      },
    }).catch(() => {});
    for (const { i, session } of cohort.members) {
      const few = [0, 1, 2, 3, 4, 5, 6, 7, 8].filter((v) => v === i || v < 5);
      await expect(session.agree(await otherSurvivors(cohort, bodies.get(i)!, few))).rejects.toEqual(
        coded('round/too-few-participants'),
      );
      expect(session.phase).toBe('failed');
    }
  });
});

describe('A12 keys of small order and doubles', () => {
  test.each(LOW_ORDER_X25519)('%s is refused by both sides', async (hex) => {
    const cohort = await openCohort({ participants: 4 });
    const bodies = await Promise.all(cohort.members.map(({ session }) => session.advertise()));
    const { identity } = cohort.members[3]!;
    for (const which of ['mask', 'channel'] as const) {
      const made = decodeAdvertisement(bodies[3]!, 1);
      const keys =
        which === 'mask'
          ? { maskKeys: [fromHex(hex)], channelKey: made.channelKey }
          : { maskKeys: made.maskKeys, channelKey: fromHex(hex) };
      const bad = { ...made, ...keys, signature: await identity.sign(advertiseStatement(OFFER_HASH, keys)) };
      await expect(cohort.server.advertised(identity.id, encodeAdvertisement(bad))).rejects.toEqual(
        coded('auth/bad-key'),
      );
      const entries = [...bodies.slice(0, 3).map((body) => decodeAdvertisement(body, 1)), bad];
      const sessionId = await sessionIdOf(nodeCrypto, OFFER_HASH, entries);
      const signature = await cohort.serverIdentity.sign(rosterStatement(sessionId));
      const victim = cohort.members[which === 'mask' ? 0 : 1]!;
      await expect(victim.session.share(encodeRoster({ entries, signature }))).rejects.toEqual(coded('auth/bad-key'));
      expect(victim.session.phase).toBe('failed');
    }
  });

  test('the key of another, advertised again', async () => {
    const cohort = await openCohort({ participants: 4 });
    const [first, second] = cohort.members;
    const body = await first!.session.advertise();
    await cohort.server.advertised(first!.identity.id, body);
    const { maskKeys, channelKey } = decodeAdvertisement(body, 1);
    const keys = { maskKeys, channelKey };
    const copy = { ...keys, identity: second!.identity.publicKey, certificate: new Uint8Array(0) };
    const signature = await second!.identity.sign(advertiseStatement(OFFER_HASH, keys));
    await expect(
      cohort.server.advertised(second!.identity.id, encodeAdvertisement({ ...copy, signature })),
    ).rejects.toEqual(coded('auth/bad-key'));
    await expect(cohort.server.advertised(second!.identity.id, body)).rejects.toEqual(coded('auth/bad-key'));
  });
});
