/** What a hostile coordinator, participant or network can try on a session, each named as in the threat list, each failing closed. */
import { describe, expect, test } from 'vitest';
import { asBytes, concat, equalBytes, fromHex, toHex, toWords } from '../../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../../protocol/crypto/node.ts';
import type { CryptoProvider } from '../../../../protocol/crypto/provider.ts';
import { TacitError } from '../../../../protocol/errors.ts';
import { stream } from '../../../../protocol/random.ts';
import { drawGroups } from '../../../../protocol/secagg/groups.ts';
import {
  decodeAdvertisement,
  decodeAgreements,
  decodeComplaint,
  decodeRoster,
  decodeSurvivors,
  decodeUnmasking,
  encodeAdvertisement,
  encodeAgreements,
  encodeComplaint,
  encodeRoster,
  encodeSurvivors,
  encodeUnmasking,
} from '../../../../protocol/secagg/objects.ts';
import { openSession } from '../../../../protocol/secagg/participant.ts';
import {
  advertiseStatement,
  agreeStatement,
  complaintStatement,
  rosterStatement,
  sessionIdOf,
  survivorsHashOf,
  survivorsStatement,
} from '../../../../protocol/secagg/statements.ts';
import {
  type Cohort,
  type CohortOptions,
  dealsWrongly,
  OFFER_HASH,
  openCohort,
  type Play,
  plainSum,
  play,
  type Step,
} from '../../../fixtures/secagg.ts';

const coded = (code: string) => expect.objectContaining({ code });
type Errors = NonNullable<Play['errors']>;
const codesOf = (errors: Errors, side: 'participant' | 'server') =>
  errors.filter((entry) => entry.side === side).map(({ error }) => (error as TacitError).code);

/** Plays a session in which something is done to bodies. @returns what happened, and the sums if there are any */
async function attacked(options: CohortOptions, hook: (cohort: Cohort) => Play['hook'] | Promise<Play['hook']>) {
  const cohort = await openCohort(options);
  const errors: Errors = [];
  const chosen = await hook(cohort);
  const result = await play(cohort, { errors, ...(chosen ? { hook: chosen } : {}) }).then(
    (opened) => ({ opened, failure: undefined }),
    (failure: TacitError) => ({ opened: undefined, failure }),
  );
  return { cohort, errors, ...result };
}

/** Lets the coordinator, whose key it has, tell one or more participants that others survived. */
async function otherSurvivors(cohort: Cohort, body: Uint8Array, members: number[]): Promise<Uint8Array> {
  const size = cohort.members.length;
  const { exchange } = decodeSurvivors(body, size);
  const { sessionId } = cohort.members[0]!.session;
  const hash = await survivorsHashOf(
    nodeCrypto,
    members.map((v) => cohort.members[v]!.identity.publicKey),
  );
  const signature = await cohort.serverIdentity.sign(survivorsStatement(sessionId!, exchange, hash));
  return encodeSurvivors({ exchange, members, signature }, size);
}

describe('A1 another model for one participant', () => {
  test('what it sends turns the whole sum into noise', async () => {
    const cohort = await openCohort({
      participants: 5,
      exchanges: [400],
      participant: (i) => (i === 2 ? { modelHash: new Uint8Array(32).fill(9) } : {}),
    });
    const [opened] = await play(cohort);
    const plain = plainSum(cohort, opened!.participants, 0);
    expect([...opened!.sum].filter((word, k) => word === plain[k]).length).toBeLessThan(3);
  });

  test('another plan for one participant, and another start of a later exchange, do the same', async () => {
    const plan = await openCohort({
      participants: 4,
      exchanges: [400],
      participant: (i) => (i === 2 ? { planHash: new Uint8Array(32).fill(9) } : {}),
    });
    const [opened] = await play(plan);
    expect(equalBytes(asBytes(opened!.sum), asBytes(plainSum(plan, opened!.participants, 0)))).toBe(false);

    const later = await openCohort({ participants: 4, exchanges: [8, 8] });
    let calls = 0;
    const sums = await play(later, {
      // one of the five that ask for exchange 1, a participant, has seen other bytes
      startHash: (exchange) => new Uint8Array(32).fill(exchange),
      hook: (step, i, body, exchange, way) => {
        if (step === 'mask' && way === 'down' && exchange === 1 && i === 0) {
          calls += 1;
          const { session } = later.members[0]!;
          const mask = session.mask.bind(session);
          session.mask = (e, words) => mask(e, words, new Uint8Array(32).fill(77));
        }
        return body;
      },
    });
    expect(calls).toBe(1);
    const equal = sums.map((sum, e) => equalBytes(asBytes(sum.sum), asBytes(plainSum(later, sum.participants, e))));
    expect(equal).toEqual([true, false]);
  });
});

describe('a roster of several groups', () => {
  test('with an entry in another group that nobody signed is refused, so that the draw cannot be tried at no cost', async () => {
    const cohort = await openCohort({ participants: 12, maxGroup: 6 });
    for (const { session, identity } of cohort.members)
      await cohort.server.advertised(identity.id, await session.advertise());
    const victim = cohort.members[0]!;
    const { entries } = decodeRoster((await cohort.server.roster()).get(victim.identity.id)!, 1);
    const own = victim.identity.publicKey;
    const junk = entries.findIndex(({ identity }) => !equalBytes(identity, own));
    for (let nonce = 0; ; nonce++) {
      const signature = new Uint8Array(64).fill(nonce);
      const ground = entries.map((entry, v) => (v === junk ? { ...entry, signature } : entry));
      const groups = await drawGroups(nodeCrypto, OFFER_HASH, ground, 6);
      const group = groups.find((each) => each.some(({ identity }) => equalBytes(identity, own)))!;
      if (group.some(({ identity }) => equalBytes(identity, entries[junk]!.identity))) continue;
      const sessionId = await sessionIdOf(nodeCrypto, OFFER_HASH, group);
      const body = encodeRoster({
        entries: ground,
        signature: await cohort.serverIdentity.sign(rosterStatement(sessionId)),
      });
      await expect(victim.session.share(body)).rejects.toEqual(coded('auth/bad-signature'));
      expect(victim.session.phase).toBe('failed');
      return;
    }
  });
});

describe('A2 both secrets of one participant', () => {
  test('a second list of survivors, after the first was agreed or unmasked, ends the session', async () => {
    for (const when of ['agree', 'unmask'] as const) {
      const seen: { i: number; error: unknown }[] = [];
      const survivorBodies = new Map<number, Uint8Array>();
      const cohort = await openCohort({ participants: 7 });
      await play(cohort, {
        hook: (step, i, body, _, way) => {
          if (step === 'agree' && way === 'down') survivorBodies.set(i, body);
          return step === when && way === 'up' ? undefined : body;
        },
      }).catch(() => {});
      for (const { i, session } of cohort.members) {
        const body = await otherSurvivors(
          cohort,
          survivorBodies.get(i)!,
          [0, 1, 2, 3, 4, 5, 6].filter((v) => v === i || v !== (i + 1) % 7),
        );
        await session.agree(body).catch((error) => seen.push({ i, error }));
        await expect(session.unmask(body)).rejects.toBeInstanceOf(TacitError);
        expect(session.phase).toBe(when === 'agree' ? 'failed' : 'finished');
      }
      expect(seen.map(({ error }) => (error as TacitError).code)).toEqual(Array(7).fill('wire/unexpected'));
    }
  });
});

describe('A3 other survivors for some', () => {
  test('nobody unmasks, whichever signatures are shown', async () => {
    for (const show of ['all', 'own'] as const) {
      const signatures = new Map<number, Uint8Array>();
      const cohort = await openCohort({ participants: 9 });
      const { members } = cohort;
      const errors: Errors = [];
      const views = members.map(({ i }) => (i < 5 ? [0, 1, 2, 3, 4, 5, 6, 7, 8] : [0, 1, 2, 3, 5, 6, 7, 8]));
      const bodies = new Map<number, Uint8Array>();
      await play(cohort, {
        errors,
        hook: (step, i, body, _, way) => {
          if (step === 'agree' && way === 'down') bodies.set(i, body);
          return step === 'agree' ? undefined : body;
        },
      }).catch(() => {});
      for (const { i, session } of members) {
        if (i === 4) continue;
        const agreement = await session.agree(await otherSurvivors(cohort, bodies.get(i)!, views[i]!));
        signatures.set(i, agreement.slice(-64));
      }
      for (const { i, session } of members) {
        if (i === 4) continue;
        const shown = views[i]!.filter((v) => v !== 4 && (show === 'all' || views[v]!.length === views[i]!.length));
        const body = encodeAgreements(
          { exchange: 0, members: shown, signatures: shown.map((v) => signatures.get(v)!) },
          9,
        );
        await expect(session.unmask(body)).rejects.toEqual(
          coded(show === 'all' ? 'auth/bad-signature' : 'secagg/refused'),
        );
        expect(session.phase).toBe('failed');
      }
    }
  });
});

describe('A4 replay', () => {
  test('a roster, survivors and agreements of another session', async () => {
    const [old, fresh] = [await openCohort({ participants: 5 }), await openCohort({ participants: 5 })];
    const bodies = new Map<Step, Uint8Array>();
    await play(old, {
      hook: (step, i, body, _, way) => {
        if (i === 0 && way === 'down') bodies.set(step, body);
        return body;
      },
    });
    const errors: Errors = [];
    await play(fresh, {
      errors,
      hook: (step, i, body, _, way) => (i === 0 && step === 'agree' && way === 'down' ? bodies.get('agree') : body),
    });
    expect(codesOf(errors, 'participant')).toEqual(['auth/bad-signature']);
    const { session } = fresh.members[1]!;
    await expect(session.unmask(bodies.get('unmask')!)).rejects.toEqual(coded('wire/unexpected'));
    const late = await openCohort({ participants: 5 });
    await late.members[0]!.session.advertise();
    await expect(late.members[0]!.session.share(bodies.get('share')!)).rejects.toEqual(coded('secagg/refused'));
    expect(late.members[0]!.session.phase).toBe('failed');
  });

  test('an advertisement for another offer', async () => {
    const cohort = await openCohort({
      participants: 4,
      participant: (i) => (i === 0 ? { offerHash: new Uint8Array(32) } : {}),
    });
    const body = await cohort.members[0]!.session.advertise();
    await expect(cohort.server.advertised(cohort.members[0]!.identity.id, body)).rejects.toEqual(
      coded('auth/bad-signature'),
    );
  });

  test('an agreement of one exchange in the next', async () => {
    const held: Uint8Array[] = [];
    const { errors } = await attacked({ participants: 5, exchanges: [4, 4] }, () => (step, i, body, exchange, way) => {
      if (step !== 'unmask' || way !== 'down' || i !== 0) return body;
      if (exchange === 0) held.push(body);
      const old = decodeAgreements(held[0]!, 5);
      return encodeAgreements({ ...old, exchange }, 5);
    });
    expect(codesOf(errors, 'participant')).toEqual(['auth/bad-signature']);
  });
});

describe('A5 A17 masks are never used twice', () => {
  test('every session has keys of its own, and the same words look different', async () => {
    const keys = new Set<string>();
    const masked = new Set<string>();
    for (let attempt = 0; attempt < 3; attempt++) {
      const cohort = await openCohort({ participants: 4, exchanges: [16, 16] });
      await play(cohort, {
        hook: (step, _, body, __, way) => {
          if (step === 'advertise' && way === 'up') {
            const { maskKeys, channelKey } = decodeAdvertisement(body, 2);
            for (const key of [...maskKeys, channelKey]) keys.add(toHex(key));
          }
          if (step === 'mask' && way === 'up') masked.add(toHex(body));
          return body;
        },
      });
    }
    expect(keys.size).toBe(3 * 4 * 3);
    expect(masked.size).toBe(3 * 4 * 2);
  });

  test('keys of one identity differ over many attempts', async () => {
    const cohort = await openCohort({ participants: 1, minCohort: 4 });
    const { identity } = cohort.members[0]!;
    const seen = new Set<string>();
    for (let attempt = 0; attempt < 200; attempt++) {
      const session = openSession({
        ...{ crypto: nodeCrypto, identity, serverKey: cohort.serverIdentity.publicKey, offerHash: OFFER_HASH },
        ...{ planHash: OFFER_HASH, modelHash: OFFER_HASH, exchanges: [1], minCohort: 4, maxCohort: 9 },
        ...{ policyMinCohort: 3, certificate: new Uint8Array(0) },
      });
      const { maskKeys, channelKey } = decodeAdvertisement(await session.advertise(), 1);
      seen.add(toHex(maskKeys[0]!)).add(toHex(channelKey));
    }
    expect(seen.size).toBe(400);
  });
});

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

/** Replaces the roster that everyone is shown, without the coordinator's signature over it. */
const forgedRoster =
  (forge: (body: Uint8Array) => Uint8Array): Play['hook'] =>
  (step, _, body, __, way) =>
    step === 'share' && way === 'down' ? forge(body) : body;

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

describe('A11 wrong shares', () => {
  const spoil = (body: Uint8Array, lost: number, at: number): Uint8Array => {
    const unmasking = decodeUnmasking(body, { self: 10 - lost, key: lost });
    for (const share of [...unmasking.selfShares, ...unmasking.keyShares]) share[at]! ^= 1;
    return encodeUnmasking(unmasking);
  };
  const lost = (step: Step, i: number): boolean => step === 'mask' && i === 9;

  const giving =
    (liars: (i: number) => boolean, gone: number, at = 4): NonNullable<Play['hook']> =>
    (step, i, body, _, way) =>
      step === 'unmask' && way === 'up' && liars(i) ? spoil(body, gone, at) : body;
  const named = (cohort: Cohort, what: string, ...members: number[]) =>
    members.map((i) => ({ participant: cohort.members[i]!.identity.id, what }));

  test.each([[1], [0, 2], [3, 7], [0, 1]])(
    'given by %i, %i: the sum is right, and they are named',
    async (...liars) => {
      const cohort = await openCohort({ participants: 10 });
      const [opened] = await play(cohort, { lost, hook: giving((i) => liars.includes(i), 1) });
      expect([...opened!.sum]).toEqual([...plainSum(cohort, opened!.participants, 0)]);
      expect(cohort.server.faults()).toEqual(expect.arrayContaining(named(cohort, 'gave', liars[0]!)));
      expect(named(cohort, 'gave', ...liars)).toEqual(expect.arrayContaining([...cohort.server.faults()]));
    },
  );

  test('with another x, or none at all, are no better', async () => {
    const cohort = await openCohort({ participants: 10 });
    const hook: Play['hook'] = (step, i, body, _, way) => {
      if (step !== 'unmask' || way !== 'up' || i > 1) return body;
      const unmasking = decodeUnmasking(body, { self: 9, key: 1 });
      for (const share of [...unmasking.selfShares, ...unmasking.keyShares]) {
        if (i === 0) share.fill(0);
        else share[32]! ^= 5;
      }
      return encodeUnmasking(unmasking);
    };
    const [opened] = await play(cohort, { lost, hook });
    expect([...opened!.sum]).toEqual([...plainSum(cohort, opened!.participants, 0)]);
    expect(cohort.server.faults()).toEqual(named(cohort, 'gave', 0, 1));
  });

  test('of too many: an error, never a wrong sum, and all of them are named', async () => {
    const cohort = await openCohort({ participants: 10 });
    const hook = giving((i) => i < 4, 1);
    await expect(play(cohort, { lost, hook })).rejects.toEqual(coded('secagg/unrecoverable'));
    expect(cohort.server.faults()).toEqual(named(cohort, 'gave', 0, 1, 2, 3));
  });

  test('[SS4] of a dealer: the sum stays closed, and who dealt them is named', async () => {
    const participant = (i: number) => (i === 2 ? { crypto: dealsWrongly } : {});
    const cohort = await openCohort({ participants: 10, participant });
    await expect(play(cohort, { lost })).rejects.toEqual(coded('secagg/unrecoverable'));
    expect(cohort.server.faults()).toEqual(named(cohort, 'dealt', 2));
  });

  test('of one participant where every answer is needed: it is named, and nobody else in its place', async () => {
    const cohort = await openCohort({ participants: 10 });
    const three = (step: Step, i: number): boolean => step === 'mask' && i > 6;
    const hook = giving((i) => i === 1, 3);
    await expect(play(cohort, { lost: three, hook })).rejects.toEqual(coded('secagg/unrecoverable'));
    expect(cohort.server.faults()).toEqual(named(cohort, 'gave', 1));
  });
});

describe('bad boxes', () => {
  const BOX = 266;
  /** `delivery` with the boxes at these places among those of the others spoilt, in the box or in its marks. */
  const spoilt = (body: Uint8Array, others: number, places: readonly number[], at = 30): Uint8Array => {
    const changed = body.slice();
    for (const place of places) changed[body.length - (others - place) * BOX + at]! ^= 1;
    return changed;
  };
  type Complaints = Map<number, Uint8Array | undefined>;
  /** Plays a session in which some are delivered bad boxes. @param boxes senders of bad boxes to i */
  const withBoxes = async (n: number, boxes: (i: number) => readonly number[], more: Play = {}, at = 30) => {
    const cohort = await openCohort({ participants: n });
    const errors: Errors = [];
    const complaints: Complaints = new Map();
    const hook: Play['hook'] = (step, i, body, exchange, way) => {
      if (step !== 'receive') return more.hook ? more.hook(step, i, body, exchange, way) : body;
      if (way === 'up') complaints.set(i, body);
      return way === 'up'
        ? body
        : spoilt(
            body,
            n - 1,
            boxes(i).map((v) => (v < i ? v : v - 1)),
            at,
          );
    };
    const sums = await play(cohort, { ...more, errors, hook }).then(
      ([opened]) => opened,
      (failure: TacitError) => failure.code,
    );
    return { cohort, errors, complaints, sums };
  };

  test.each([30, BOX - 1, BOX - 20])(
    'a few are complained of, byte %i, and the sum goes on with everybody in it',
    async (at) => {
      const lost = (step: Step, i: number): boolean => step === 'mask' && i === 4;
      const { cohort, errors, complaints, sums } = await withBoxes(
        9,
        (i) => (i === 1 ? [4] : i === 7 ? [0, 5] : []),
        { lost },
        at,
      );
      expect(errors).toEqual([]);
      expect([...complaints.keys()]).toEqual([1, 7]);
      expect([...complaints.values()].map((body) => decodeComplaint(body!, 9).dealers)).toEqual([[4], [0, 5]]);
      const opened = sums as Exclude<typeof sums, string | undefined>;
      expect(opened.participants).toHaveLength(8);
      expect([...opened.sum]).toEqual([...plainSum(cohort, opened.participants, 0)]);
      expect(cohort.server.faults()).toEqual([]); // one of them is wrong: the dealer, or those who complain
    },
  );

  test('[SS5] a dealer of whom too many complain is named before anything is masked', async () => {
    const { cohort } = await withBoxes(9, (i) => (i < 3 ? [4] : []));
    expect(cohort.server.faults()).toEqual([{ participant: cohort.members[4]!.identity.id, what: 'boxed' }]);
  });

  test('[SA5] more bad ones than may collude end the session of who is sent them', async () => {
    const { errors, complaints } = await withBoxes(9, (i) => (i === 2 ? [0, 4, 5, 8] : []));
    expect(codesOf(errors, 'participant')).toEqual(['secagg/bad-share']);
    expect(complaints.size).toBe(0);
  });

  test('two that change places are both complained of', async () => {
    const cohort = await openCohort({ participants: 7 });
    const seen: number[][] = [];
    await play(cohort, {
      hook: (step, i, body, _, way) => {
        if (step !== 'receive' || i !== 2) return body;
        if (way === 'up') seen.push([...decodeComplaint(body, 7).dealers]);
        return way === 'up'
          ? body
          : concat(body.subarray(0, -2 * BOX), body.subarray(-BOX), body.subarray(-2 * BOX, -BOX));
      },
    });
    expect(seen).toEqual([[5, 6]]);
  });

  test('complaints of oneself, of nobody, of too many, unsigned, twice, or after the words are refused', async () => {
    const cohort = await openCohort({ participants: 7 });
    const { server, members } = cohort;
    const complain = async (i: number, dealers: number[], signer = i): Promise<string> => {
      const { session, identity } = members[i]!;
      const signature = await members[signer]!.identity.sign(complaintStatement(session.sessionId!, dealers, 7));
      const body = encodeComplaint({ dealers, signature }, 7);
      return server.complained(identity.id, body).then(
        () => 'taken',
        ({ code }: TacitError) => code,
      );
    };
    for (const { session, identity } of members) await server.advertised(identity.id, await session.advertise());
    const rosters = await server.roster();
    for (const { session, identity } of members)
      await server.shared(identity.id, await session.share(rosters.get(identity.id)!));
    expect(await complain(0, [1])).toBe('wire/unexpected');
    const deliveries = await server.delivery();
    expect(await complain(0, [0])).toBe('wire/malformed');
    expect(await complain(0, [])).toBe('wire/malformed');
    expect(await complain(0, [1, 2, 3])).toBe('secagg/bad-share');
    expect(await complain(0, [1], 2)).toBe('auth/bad-signature');
    expect(await complain(0, [1, 2])).toBe('taken');
    expect(await complain(0, [1, 2])).toBe('taken'); // the same again
    expect(await complain(0, [1])).toBe('round/duplicate');
    const { session, identity } = members[3]!;
    await session.receive(deliveries.get(identity.id)!);
    server.masked(identity.id, 0, toWords(await session.mask(0, cohort.words(3, 0))));
    expect(await complain(3, [1])).toBe('round/duplicate');
  });
});

describe('A12 keys of small order and doubles', () => {
  const SMALL = [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    `ec${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`,
  ].flatMap((hex) => {
    const high = fromHex(hex);
    high[31]! |= 0x80;
    return [hex, toHex(high)];
  });

  test.each(SMALL)('%s is refused by both sides', async (hex) => {
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

describe('A16 P5 nothing in the clear', () => {
  /** Whether a body holds 4 words of any participant's vector in a row. */
  async function leaks(crypto: CryptoProvider): Promise<boolean> {
    const cohort = await openCohort({ participants: 5, exchanges: [64], crypto });
    const windows = new Set<string>();
    for (const { i } of cohort.members) {
      const bytes = asBytes(cohort.words(i, 0));
      for (let at = 0; at + 16 <= bytes.length; at += 4) windows.add(toHex(bytes.subarray(at, at + 16)));
    }
    let found = false;
    await play(cohort, {
      hook: (_, __, body) => {
        for (let at = 0; at + 16 <= body.length; at++) found ||= windows.has(toHex(body.subarray(at, at + 16)));
        return body;
      },
    });
    return found;
  }

  test('no body holds a piece of a vector, and the detector would see it', async () => {
    expect(await leaks(nodeCrypto)).toBe(false);
    expect(await leaks({ ...nodeCrypto, applyMasks: async () => {} })).toBe(true);
  });

  test('P3 masked bytes are uniform, whatever is masked', async () => {
    for (const word of [0, 2 ** 31 - 1, -1]) {
      const cohort = await openCohort({ participants: 4, exchanges: [4096] });
      const counts = new Float64Array(256);
      await play(
        { ...cohort, words: () => new Int32Array(4096).fill(word) },
        {
          hook: (step, i, body, _, way) => {
            if (step === 'mask' && way === 'up' && i === 0) for (const byte of body) counts[byte]! += 1;
            return body;
          },
        },
      );
      const expected = (4 * 4096) / 256;
      const chi2 = counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
      // 255 degrees of freedom: outside once in a million
      expect(chi2).toBeGreaterThan(150);
      expect(chi2).toBeLessThan(385);
    }
  });
});

describe('[SA11] P9 secrets are erased', () => {
  /** A provider that remembers the secrets that it gave out. */
  function watched(): { crypto: CryptoProvider; secrets: Uint8Array[] } {
    const secrets: Uint8Array[] = [];
    const kept = <T extends Uint8Array>(secret: T): T => {
      secrets.push(secret);
      return secret;
    };
    const crypto: CryptoProvider = {
      ...nodeCrypto,
      randomBytes: (length) => (length === 32 ? kept(nodeCrypto.randomBytes(length)) : nodeCrypto.randomBytes(length)),
      x25519KeyPair: async (secret) => {
        const pair = await nodeCrypto.x25519KeyPair(secret);
        kept(pair.secretKey);
        return pair;
      },
      x25519: async (...keys) => kept(await nodeCrypto.x25519(...keys)),
      hkdfSha256: async (...parameters) => kept(await nodeCrypto.hkdfSha256(...parameters)),
    };
    return { crypto, secrets };
  }
  const alive = (secrets: Uint8Array[]): number => secrets.filter((secret) => secret.some((byte) => byte !== 0)).length;

  test.each<Step | 'end'>(['share', 'receive', 'mask', 'agree', 'unmask', 'end'])(
    'when a session is wiped at %s',
    async (step) => {
      const { crypto, secrets } = watched();
      const cohort = await openCohort({
        participants: 5,
        exchanges: [8],
        participant: (i) => (i === 1 ? { crypto } : {}),
      });
      let before = 0;
      await play(cohort, {
        hook: (s, i, body, _, way) => {
          if (s !== step || i !== 1 || way !== 'down') return body;
          before = alive(secrets);
          cohort.members[1]!.session.wipe();
          return undefined;
        },
      }).catch(() => {});
      if (step !== 'end') expect(before).toBeGreaterThan(0);
      expect(secrets.length).toBeGreaterThan(3);
      expect(alive(secrets)).toBe(0);
    },
  );

  test('when a body is refused', async () => {
    const { crypto, secrets } = watched();
    const cohort = await openCohort({ participants: 5, participant: (i) => (i === 1 ? { crypto } : {}) });
    await play(cohort, { hook: (step, i, body) => (step === 'agree' && i === 1 ? body.slice(1) : body) });
    expect(cohort.members[1]!.session.phase).toBe('failed');
    expect(alive(secrets)).toBe(0);
  });

  test('wiped while it masks: nothing comes out', async () => {
    const cohort = await openCohort({ participants: 5, exchanges: [200_000] });
    const { session } = cohort.members[0]!;
    const errors: Errors = [];
    await play(cohort, {
      errors,
      hook: (step, i, body, _, way) => {
        if (step === 'mask' && i === 0 && way === 'down') queueMicrotask(() => session.wipe());
        return body;
      },
    });
    expect(errors.map(({ step, i }) => [step, i])).toEqual([['mask', 0]]);
  });
});

describe('P6 a network that does what it likes', () => {
  test('the exact sum of those who are in it, or a clean end', async () => {
    let sums = 0;
    for (let seed = 0; seed < 12; seed++) {
      const rng = stream(seed, 'secagg/network');
      const earlier: Uint8Array[] = [];
      const { cohort, opened, failure, errors } = await attacked(
        { participants: 6 },
        () => (step, _, body, __, way) => {
          earlier.push(body);
          if (rng.next() > 0.04) return body;
          // masked words are uploaded with a hash and a signature: they come as they were sent, or not at all
          const kind = step === 'mask' && way === 'up' ? 0 : rng.below(4);
          if (kind === 0) return undefined;
          if (kind === 1) return earlier[rng.below(earlier.length)];
          if (kind === 2) return body.slice(0, rng.below(body.length + 1));
          return body.map((byte, k) => (k === seed % body.length ? byte ^ 0x40 : byte));
        },
      );
      for (const { error } of errors) expect(error, `seed ${seed}`).toBeInstanceOf(TacitError);
      if (failure) expect(failure, `seed ${seed}`).toBeInstanceOf(TacitError);
      for (const sum of opened ?? []) {
        sums += 1;
        const plain = plainSum(cohort, sum.participants, 0);
        expect(equalBytes(asBytes(sum.sum), asBytes(plain)), `seed ${seed}`).toBe(true);
      }
    }
    expect(sums).toBeGreaterThan(3);
  });

  test('a body that comes again has the same answer, and is no further news', async () => {
    const cohort = await openCohort({ participants: 5, exchanges: [6, 6] });
    const again: Promise<void>[] = [];
    const opened = await play(cohort, {
      hook: (step, i, body, exchange, way) => {
        const { session, identity } = cohort.members[i]!;
        const { server } = cohort;
        if (way === 'down' && (step === 'share' || step === 'agree' || step === 'unmask')) {
          again.push(
            Promise.all([session[step](body), session[step](body)]).then(([a, b]) => expect(toHex(a)).toBe(toHex(b))),
          );
        }
        if (way === 'up' && (step === 'share' || step === 'agree' || step === 'unmask')) {
          const take = ({ share: 'shared', agree: 'agreed', unmask: 'unmasking' } as const)[step];
          again.push(server[take](identity.id, body).catch((error) => expect(error).toBeUndefined()));
        }
        if (way === 'up' && step === 'mask' && exchange === 0) {
          server.masked(identity.id, exchange, toWords(body));
          return undefined;
        }
        return body;
      },
    });
    await Promise.all(again);
    for (const [e, sum] of opened.entries()) expect([...sum.sum]).toEqual([...plainSum(cohort, sum.participants, e)]);
  });
});

test('agreements are bound to session and exchange', () => {
  const id = new Uint8Array(32);
  expect(toHex(agreeStatement(id, 0, id))).not.toBe(toHex(agreeStatement(id, 1, id)));
});
