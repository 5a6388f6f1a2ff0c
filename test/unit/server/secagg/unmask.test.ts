/** Recovering and taking off masks on the coordinator's side: in threads as at once, and in the largest group. */
import { describe, expect, test } from 'vitest';
import { asBytes, concat, equalBytes, u32le } from '../../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../../protocol/crypto/node.ts';
import type { Advertisement, Unmasking } from '../../../../protocol/secagg/objects.ts';
import { answersNeeded, everyone, thresholdOf } from '../../../../protocol/secagg/rules.ts';
import { splitSecret } from '../../../../protocol/secagg/shares.ts';
import { commitOf } from '../../../../protocol/secagg/statements.ts';
import { createDisputes } from '../../../../server/secagg/disputes.ts';
import { recoverSecrets } from '../../../../server/secagg/recovery.ts';
import { masksIn, partsOf, type Removal } from '../../../../server/secagg/removal.ts';
import { unmask } from '../../../../server/secagg/unmask.ts';

const draw = (purpose: number, i: number): Promise<Uint8Array> => nodeCrypto.sha256(concat(u32le(purpose), u32le(i)));
const sessionId = new Uint8Array(32).fill(1);

async function removal(survivors: number, lost: number): Promise<Removal> {
  const identityOf = (i: number): Promise<Uint8Array> => draw(0, i);
  const alive = Array.from({ length: survivors }, (_, i) => i);
  const context = { sessionId, startHash: sessionId, planHash: sessionId, exchange: 1 };
  return {
    context,
    survivors: await Promise.all(
      alive.map(async (index) => ({
        index,
        identity: await identityOf(index),
        maskKey: (await nodeCrypto.x25519KeyPair(await draw(1, index))).publicKey,
      })),
    ),
    own: await Promise.all(alive.map(async (i) => ({ identity: await identityOf(i), b: await draw(2, i) }))),
    lost: await Promise.all(
      Array.from({ length: lost }, async (_, k) => {
        // between the survivors, so that both signs come
        const index = k + survivors / 2 - 0.5;
        return { index, identity: await identityOf(1000 + k), secretKey: await draw(3, k) };
      }),
    ),
  };
}

describe('unmask', () => {
  test('parts hold every mask once', async () => {
    const whole = await removal(10, 3);
    for (const masks of [1, 7, 32, 1000]) {
      const parts = partsOf(whole, masks);
      expect(parts.reduce((n, part) => n + masksIn({ ...whole, ...part }), 0)).toBe(masksIn(whole));
      expect(parts.flatMap(({ own }) => own)).toEqual(whole.own);
      expect(parts.flatMap(({ lost }) => lost)).toEqual(whole.lost);
    }
  });

  test('threads take off what is taken off at once', async () => {
    const work = await removal(8, 2);
    const start = Int32Array.from({ length: 800_000 }, (_, i) => Math.imul(i, 0x9e3779b1));
    const [atOnce, inThreads] = [start.slice(), start.slice()];
    expect(masksIn(work) * start.byteLength).toBeGreaterThan(64 * 2 ** 20);
    await unmask(nodeCrypto, work, atOnce, { threads: 0 });
    await unmask(nodeCrypto, work, inThreads, { threads: 2 });
    expect(equalBytes(asBytes(atOnce), asBytes(inThreads))).toBe(true);
    expect(equalBytes(asBytes(atOnce), asBytes(start))).toBe(false);
  });
});

describe('a group of 256', () => {
  const size = 256;
  const members = everyone(size);
  const survivors = members.slice(size - answersNeeded(size));
  const identity = new Uint8Array(32).fill(4);

  /** Everyone has the same b and the same mask key: what counts here is who has which share. */
  async function scene() {
    const pair = await nodeCrypto.x25519KeyPair(new Uint8Array(32).fill(6));
    const b = new Uint8Array(32).fill(5);
    const commit = await commitOf(nodeCrypto, sessionId, identity, b);
    // 255 shares, which the others of each have in their order
    const split = async (secret: Uint8Array) => (await splitSecret(secret, size, 0, thresholdOf(size))).slice(1);
    const [selfShares, keyShares] = [await split(b), await split(pair.secretKey)];
    const shareOf = (shares: (Uint8Array | undefined)[], owner: number, holder: number): Uint8Array[] =>
      holder === owner ? [] : [shares[holder < owner ? holder : holder - 1]!];
    const entries: Advertisement[] = members.map(() => ({
      ...{ identity, maskKeys: [pair.publicKey], channelKey: pair.publicKey },
      ...{ certificate: new Uint8Array(0), signature: new Uint8Array(64) },
    }));
    const answer = (of: number): Unmasking => ({
      exchange: 0,
      selfShares: survivors.flatMap((v) => shareOf(selfShares, v, of)),
      keyShares: members.slice(0, survivors[0]).flatMap((v) => shareOf(keyShares, v, of)),
    });
    const answers = new Map(survivors.map((v) => [v, answer(v)]));
    const shares = new Map(
      members.map((v) => [v, { commits: [commit], boxes: members.map(() => new Uint8Array(266)) }]),
    );
    const at = { sessionId, entries, exchanges: [1], exchange: 0, members, survivors };
    return { crypto: nodeCrypto, ...at, shares, disputes: createDisputes(), answers };
  }

  test('[SA1] is opened by as many as it takes, and not by one less', async () => {
    const recovery = await scene();
    expect(survivors.length).toBe(172);
    const found = await recoverSecrets(recovery);
    expect(found.own.length).toBe(172);
    expect(found.lost.length).toBe(84);
    expect(found).toMatchObject({ isComplete: true, givers: [], dealers: [] });
    recovery.answers.delete(survivors[0]!);
    const { own, isComplete, dealers } = await recoverSecrets(recovery);
    // the secret of the one who does not answer has as many shares as it takes; those of the others have one less
    expect(own.length).toBe(1);
    expect({ isComplete, dealers }).toEqual({ isComplete: false, dealers: [] });
  });
});
