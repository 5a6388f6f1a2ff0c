/** A network that loses, changes, repeats and mixes up what a session sends. */
import { describe, expect, test } from 'vitest';
import { asBytes, equalBytes, toHex, toWords } from '../../../../../protocol/bytes.ts';
import { TacitError } from '../../../../../protocol/errors.ts';
import { stream } from '../../../../../protocol/random.ts';
import { openCohort, plainSum, play } from '../../../../fixtures/secagg.ts';
import { attacked } from '../../../../fixtures/secagg-attacks.ts';

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
