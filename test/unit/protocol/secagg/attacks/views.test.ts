/** What a coordinator can try on a session by showing participants different, old or too small things: each named as in the threat list, each failing closed. */
import { describe, expect, test } from 'vitest';
import { asBytes, equalBytes, toHex } from '../../../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../../../protocol/crypto/node.ts';
import { TacitError } from '../../../../../protocol/errors.ts';
import { drawGroups } from '../../../../../protocol/secagg/groups.ts';
import {
  decodeAgreements,
  decodeRoster,
  encodeAgreements,
  encodeRoster,
} from '../../../../../protocol/secagg/objects.ts';
import { agreeStatement, rosterStatement, sessionIdOf } from '../../../../../protocol/secagg/statements.ts';
import { OFFER_HASH, openCohort, plainSum, play, type Step } from '../../../../fixtures/secagg.ts';
import { attacked, coded, codesOf, type Errors, otherSurvivors } from '../../../../fixtures/secagg-attacks.ts';

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

test('agreements are bound to session and exchange', () => {
  const id = new Uint8Array(32);
  expect(toHex(agreeStatement(id, 0, id))).not.toBe(toHex(agreeStatement(id, 1, id)));
});
