import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { modelOf } from '../../../learning/model.ts';
import { asBytes } from '../../../protocol/bytes.ts';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { buildReport, openSum } from '../../../protocol/report.ts';
import type { SealContext } from '../../../protocol/sealing/suite.ts';
import { suiteNamed } from '../../../protocol/sealing/suites.ts';
import { exchangesOf } from '../../../protocol/sections.ts';
import { aggregationOf, gate } from '../../../server/aggregation.ts';
import { testPlan } from '../../e2e/server-harness.ts';

const plan = testPlan({ rounds: { cohort: 4, overSelection: 1 }, privacy: { clipNorm: 3 } });
const [exchange] = exchangesOf(plan, modelOf(plan).reportShape);
const { dimension } = modelOf(plan).reportShape;
const context: SealContext = {
  participant: new Uint8Array(32).fill(1),
  task: 'test',
  round: 0,
  attempt: 0,
  exchange: 0,
  planHash: new Uint8Array(32).fill(2),
  modelHash: new Uint8Array(32).fill(3),
  offerHash: new Uint8Array(32).fill(4),
};

const open = async () => {
  const { publicKey, secretKey } = await nodeCrypto.x25519KeyPair();
  const aggregation = aggregationOf({ crypto: nodeCrypto, plan, exchange: exchange!, secret: secretKey });
  const seal = (words: Int32Array, bound = context) =>
    suiteNamed('x25519-aes256gcm').seal(nodeCrypto, publicKey, bound, asBytes(words));
  return { aggregation, seal };
};
const wordsFor = (delta: Float32Array, examples: number): Int32Array =>
  buildReport(plan, exchange!, { delta, 'metrics/loss': Float32Array.of(-1) }, examples);

describe('the sum of an exchange', () => {
  test('does not depend on the order, and is exact', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.float({ min: -1, max: 1, noNaN: true }), fc.integer({ min: 1, max: 200 })), {
          minLength: 1,
          maxLength: 4,
        }),
        async (reports) => {
          const words = reports.map(([x, examples]) => wordsFor(new Float32Array(dimension).fill(x / 16), examples));
          const sums = [words, [...words].reverse()].map((order) => {
            const aggregation = aggregationOf({
              crypto: nodeCrypto,
              plan,
              exchange: exchange!,
              secret: new Uint8Array(32),
            });
            for (const report of order) aggregation.add(report);
            return aggregation.sum();
          });
          expect(Buffer.compare(asBytes(sums[0]!), asBytes(sums[1]!))).toBe(0);
          // Plain doubles hold such sums exactly: were anything to wrap, they would differ.
          const naive = words[0]!.map((_, i) => words.reduce((sum, report) => sum + report[i]!, 0));
          expect(Buffer.compare(asBytes(sums[0]!), asBytes(naive))).toBe(0);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('does not wrap with every report at its extreme, and takes no more reports than it has room for', async () => {
    const { aggregation } = await open();
    const delta = new Float32Array(dimension);
    delta[0] = 1e6;
    const words = wordsFor(delta, 1000);
    for (let i = 0; i < 4; i++) aggregation.add(words);
    expect(aggregation.sum()[0]).toBe(4 * words[0]!);
    expect(aggregation.sum()[0]).toBeGreaterThan(2 ** 30);
    expect(openSum(plan, exchange!, aggregation.sum()).sections.delta![0]).toBeCloseTo(3, 6);
    expect(() => aggregation.add(words)).toThrow('more than 4 reports');
  });

  test('of nothing cannot be opened', async () => {
    const { aggregation } = await open();
    expect(() => openSum(plan, exchange!, aggregation.sum())).toThrow(
      expect.objectContaining({ code: 'report/out-of-bounds' }),
    );
  });
});

describe('verification', () => {
  test('gives the words that were sealed, and adds nothing by itself', async () => {
    const { aggregation, seal } = await open();
    const words = wordsFor(new Float32Array(dimension).fill(0.01), 7);
    const verified = await aggregation.verify('x25519-aes256gcm', context, await seal(words));
    expect(Buffer.compare(asBytes(verified), asBytes(words))).toBe(0);
    expect(aggregation.reports).toBe(0);
    expect(aggregation.sum().every((word) => word === 0)).toBe(true);
  });

  test('refuses what was sealed for something else, by length or by content', async () => {
    const { aggregation, seal } = await open();
    const words = wordsFor(new Float32Array(dimension).fill(0.01), 7);
    const elsewhere = await seal(words, { ...context, round: 1 });
    await expect(aggregation.verify('x25519-aes256gcm', context, elsewhere)).rejects.toMatchObject({
      code: 'report/malformed',
    });
    const short = (await seal(words)).subarray(1);
    await expect(aggregation.verify('x25519-aes256gcm', context, short)).rejects.toMatchObject({
      code: 'report/malformed',
    });
    await expect(aggregation.verify('rot13', context, short)).rejects.toMatchObject({ code: 'wire/no-common-suite' });
    const long = await seal(
      wordsFor(new Float32Array(dimension), 7)
        .fill(99, 0, dimension)
        .fill(2 ** 30, 0, 40),
    );
    await expect(aggregation.verify('x25519-aes256gcm', context, long)).rejects.toMatchObject({
      code: 'report/out-of-bounds',
    });
  });
});

describe('a gate', () => {
  test('lets so many through at a time, in order, and goes on after a failure', async () => {
    const enter = gate(2);
    const releases: (() => void)[] = [];
    const started: number[] = [];
    const all = [0, 1, 2, 3].map((i) =>
      enter(async () => {
        started.push(i);
        await new Promise<void>((resolve) => releases.push(resolve));
        if (i === 0) throw new Error('first');
        return i;
      }).catch((error: Error) => error.message),
    );
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    await turn();
    expect(started).toEqual([0, 1]);
    releases[0]!();
    await turn();
    expect(started).toEqual([0, 1, 2]);
    releases[1]!();
    releases[2]!();
    await turn();
    releases[3]!();
    expect(await Promise.all(all)).toEqual(['first', 1, 2, 3]);
    expect(await enter(async () => 'free')).toBe('free');
  });
});
