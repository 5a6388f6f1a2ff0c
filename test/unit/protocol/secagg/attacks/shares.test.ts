/** Wrong shares and boxes, given by participants or changed on the way: the sum is right or there is none, and who is wrong is named. */
import { describe, expect, test } from 'vitest';
import { concat, toWords } from '../../../../../protocol/bytes.ts';
import type { TacitError } from '../../../../../protocol/errors.ts';
import {
  decodeComplaint,
  decodeUnmasking,
  encodeComplaint,
  encodeUnmasking,
} from '../../../../../protocol/secagg/objects.ts';
import { complaintStatement } from '../../../../../protocol/secagg/statements.ts';
import {
  type Cohort,
  dealsWrongly,
  openCohort,
  type Play,
  plainSum,
  play,
  type Step,
} from '../../../../fixtures/secagg.ts';
import { coded, codesOf, type Errors } from '../../../../fixtures/secagg-attacks.ts';

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
