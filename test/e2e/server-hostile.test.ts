/** Participants that break rules: each is answered with its code, nobody else notices, and the sum holds honest reports only. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { modelOf } from '../../learning/model.ts';
import { concat, u32le } from '../../protocol/bytes.ts';
import { encodeFrame } from '../../protocol/codec.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { flatten } from '../../protocol/flatten.ts';
import { uploadStatement } from '../../protocol/identity.ts';
import type { Offer } from '../../protocol/messages.ts';
import type { Plan } from '../../protocol/plan.ts';
import { stream } from '../../protocol/random.ts';
import { LIMITS } from '../../protocol/transport.ts';
import type { RunResult } from '../../server/events.ts';
import {
  expectedModel,
  type FakeParticipant,
  type Harness,
  harness,
  parametersOf,
  participants,
  rest,
  testPlan,
  updateOf,
  wordsOf,
} from './server-harness.ts';

/** One round of four, of which three are enough. */
const plan: Plan = testPlan({ rounds: { count: 1, cohort: 4, minReports: 3, waitForAll: true } });
let at: Harness;
let run: Promise<RunResult>;
let honest: FakeParticipant[];
let hostile: FakeParticipant;
let offered: { offer: Offer; offerHash: Uint8Array };

const wordsOfPlan = (): number => modelOf(plan).reportShape.dimension;

beforeEach(async () => {
  const bytes = 4 * (wordsOfPlan() + 1000);
  at = await harness(plan, { waitFor: 4, settleMs: 20, graceMs: 50, maxUploadBytes: 4 * bytes });
  run = at.coordinator.run();
  const people = await participants(at, 4);
  await Promise.all(people.map((p) => p.signIn()));
  [hostile, ...honest] = people as [FakeParticipant, ...FakeParticipant[]];
  offered = await hostile.offer();
  await hostile.accept(offered.offerHash);
});
afterEach(() => at.coordinator.stop());

/** The honest three report, and the round must be the average of exactly `members`. */
async function expectRoundOf(members: readonly FakeParticipant[]): Promise<void> {
  await Promise.all(honest.map(async (p) => p.report(await p.offer())));
  const result = await run;
  expect(result.history[0]!.participants).toBe(members.length);
  const before = flatten(modelOf(plan).init(plan.seed), modelOf(plan).aggregated);
  const expected = expectedModel(
    plan,
    before,
    members.map((p) => updateOf(p, 0)),
  );
  const actual = parametersOf(plan, result.model);
  const error = actual.reduce((worst, x, i) => Math.max(worst, Math.abs(x - expected[i]!)), 0);
  expect(error).toBeLessThan(1e-6);
}

const ownWords = (): Int32Array => wordsOf(plan, updateOf(hostile, 0));

describe('a report that is wrong inside is refused as a whole, and its participant is out', () => {
  const dimension = modelOf(plan).reportShape.dimension;
  const forgeries: [string, (words: Int32Array) => void][] = [
    ['words at the edge of the ring', (w) => w.fill(2 ** 31 - 1)],
    ['the most negative word', (w) => w.fill(-(2 ** 31), 3, 4)],
    ['an update longer than the clipping norm', (w) => w.fill(Math.floor(w[dimension]! / 3), 0, dimension)],
    ['a weight of zero', (w) => w.fill(0, dimension, dimension + 1)],
    ['a negative weight', (w) => w.fill(-1, dimension, dimension + 1)],
    ['a weight above one', (w) => w.fill(2 ** 30, dimension, dimension + 1)],
    ['a loss outside its interval', (w) => w.fill(-5, dimension + 1, dimension + 2)],
  ];
  for (const [what, forge] of forgeries) {
    test(what, async () => {
      const words = ownWords();
      forge(words);
      const sealed = await hostile.seal(offered, words);
      await hostile.push(offered.offerHash, sealed);
      await expect(hostile.commit(offered.offerHash, sealed)).rejects.toMatchObject({ code: 'report/out-of-bounds' });
      // The right report does not help any more: who sent a forgery is out of this attempt.
      const right = await hostile.seal(offered, ownWords());
      await expect(hostile.push(offered.offerHash, right)).rejects.toMatchObject({ code: 'report/out-of-bounds' });
      await expectRoundOf(honest);
    });
  }

  test('NaN as floats instead of words', async () => {
    const words = new Int32Array(new Float32Array(ownWords().length).fill(Number.NaN).buffer);
    const sealed = await hostile.seal(offered, words);
    await hostile.push(offered.offerHash, sealed);
    await expect(hostile.commit(offered.offerHash, sealed)).rejects.toMatchObject({ code: 'report/out-of-bounds' });
    await expectRoundOf(honest);
  });

  const sealings: [string, () => Promise<Uint8Array>][] = [
    ['sealed for another round', () => hostile.seal({ ...offered, offer: { ...offered.offer, round: 1 } }, ownWords())],
    [
      'sealed for another attempt',
      () => hostile.seal({ ...offered, offer: { ...offered.offer, attempt: 1 } }, ownWords()),
    ],
    ['sealed for another exchange', () => hostile.seal(offered, ownWords(), { exchange: 1 })],
    [
      "another participant's report",
      () => {
        honest[0]!.joined ??= hostile.joined;
        return honest[0]!.seal(offered, ownWords());
      },
    ],
    [
      'a flipped bit',
      async () => {
        const sealed = await hostile.seal(offered, ownWords());
        sealed[sealed.length >> 1]! ^= 1;
        return sealed;
      },
    ],
    ['noise', async () => nodeCrypto.randomBytes((await hostile.seal(offered, ownWords())).length)],
  ];
  for (const [what, make] of sealings) {
    test(what, async () => {
      const sealed = await make();
      await hostile.push(offered.offerHash, sealed);
      const refused = await hostile.commit(offered.offerHash, sealed).then(
        () => undefined,
        (e: { code: string }) => e.code,
      );
      expect(['report/malformed', 'auth/bad-key']).toContain(refused);
      await expectRoundOf(honest);
    });
  }
});

describe('an upload that does not fit is refused before a byte of it is kept, and may be made again', () => {
  afterEach(async () => {
    await hostile.report(offered);
    await expectRoundOf([hostile, ...honest]);
  });
  const hash = new Uint8Array(32).fill(7);
  const bytesOf = async () => (await hostile.seal(offered, ownWords())).length;
  const open = (changes: object) =>
    bytesOf().then((bytes) =>
      hostile.peer.request({
        type: 'upload',
        offerHash: offered.offerHash,
        exchange: 0,
        suite: 'x25519-aes256gcm',
        hash,
        bytes,
        ...changes,
      }),
    );

  test('oversized, truncated, empty', async () => {
    const bytes = await bytesOf();
    await expect(open({ bytes: bytes + 1 })).rejects.toMatchObject({ code: 'wire/too-large' });
    await expect(open({ bytes: LIMITS.blobBytes })).rejects.toMatchObject({ code: 'wire/too-large' });
    await expect(open({ bytes: bytes - 1 })).rejects.toMatchObject({ code: 'report/malformed' });
    await expect(open({ bytes: 0 })).rejects.toMatchObject({ code: 'report/malformed' });
  });

  test('an unknown suite, another exchange, another offer', async () => {
    await expect(open({ suite: 'rot13' })).rejects.toMatchObject({ code: 'wire/no-common-suite' });
    await expect(open({ exchange: 1 })).rejects.toMatchObject({ code: 'wire/unexpected' });
    await expect(open({ offerHash: hash })).rejects.toMatchObject({
      code: 'round/stale',
      retryAfterMs: expect.any(Number),
    });
  });

  test('chunks without an upload, with a gap, and beyond its end', async () => {
    const put = (offset: number, body: Uint8Array) => hostile.peer.request({ type: 'put', hash, offset }, body);
    await expect(put(0, hash)).rejects.toMatchObject({ code: 'wire/unexpected' });
    await open({});
    await expect(put(100, hash)).rejects.toMatchObject({ code: 'wire/unexpected' });
    await expect(put(0, new Uint8Array((await bytesOf()) + 1))).rejects.toMatchObject({ code: 'report/malformed' });
  });

  test('committed before it is complete, or with another hash than its bytes have', async () => {
    await open({});
    const sealed = new Uint8Array(await bytesOf());
    const commit = async (of: Uint8Array) => {
      const statement = uploadStatement({ offerHash: offered.offerHash, exchange: 0, hash: of, bytes: sealed.length });
      const signature = await hostile.identity.sign(statement);
      await hostile.peer.request({
        type: 'commit',
        offerHash: offered.offerHash,
        exchange: 0,
        hash: of,
        bytes: sealed.length,
        signature,
      });
    };
    await expect(commit(hash)).rejects.toMatchObject({ code: 'wire/unexpected' });
    await hostile.peer.request({ type: 'put', hash, offset: 0 }, sealed);
    await expect(commit(hash)).rejects.toMatchObject({ code: 'wire/hash-mismatch' });
  });

  test('committed with a signature of somebody else', async () => {
    const sealed = await hostile.seal(offered, ownWords());
    await hostile.push(offered.offerHash, sealed);
    const hashed = await nodeCrypto.sha256(sealed);
    const message = { offerHash: offered.offerHash, exchange: 0, hash: hashed, bytes: sealed.length };
    const signature = await honest[0]!.identity.sign(uploadStatement(message));
    await expect(hostile.peer.request({ type: 'commit', ...message, signature })).rejects.toMatchObject({
      code: 'auth/bad-signature',
    });
  });
});

describe('a report counts once', () => {
  test('committing it again gives the same answer; another one is refused', async () => {
    const sealed = await hostile.seal(offered, ownWords());
    await hostile.push(offered.offerHash, sealed);
    await Promise.all([1, 2, 3].map(() => hostile.commit(offered.offerHash, sealed)));
    await hostile.commit(offered.offerHash, sealed);
    const other = await hostile.seal(offered, ownWords());
    await expect(hostile.push(offered.offerHash, other)).rejects.toMatchObject({ code: 'round/duplicate' });
    await expectRoundOf([hostile, ...honest]);
  });

  test('reports after the end are answered with a code and a time', async () => {
    await hostile.report(offered);
    await expectRoundOf([hostile, ...honest]);
    const sealed = await hostile.seal(offered, ownWords());
    await expect(hostile.push(offered.offerHash, sealed)).rejects.toMatchObject({
      code: 'round/stale',
      retryAfterMs: expect.any(Number),
    });
    await expect(hostile.accept(offered.offerHash)).rejects.toMatchObject({ code: 'round/stale' });
  });
});

describe('floods', () => {
  test('of requests are refused with a time to wait, and in the end the connection is dropped', async () => {
    const codes = new Set<string>();
    for (let i = 0; i < 20 && hostile.closed === undefined; i++) {
      const requests = Array.from({ length: 30 }, () =>
        hostile.accept(offered.offerHash).catch((e: { code: string }) => codes.add(e.code)),
      );
      await Promise.all(requests);
    }
    await rest();
    expect(hostile.closed).toBeDefined();
    expect(codes).toContain('wire/rate-limited');
    expect(at.events).toContainEqual(expect.objectContaining({ type: 'dropped', code: 'wire/rate-limited' }));
    expect(honest.every((p) => p.closed === undefined)).toBe(true);
  });

  test('of frames that are not waited for end the connection', async () => {
    const frame = encodeFrame({ type: 'ask', id: 1, hash: new Uint8Array(32), offset: 0 });
    for (let i = 0; i < 500; i++) hostile.connection.send(frame).catch(() => {});
    await rest();
    expect(hostile.closed).toBeDefined();
  });

  test('of downloads stop at a few times what the round needs', async () => {
    const { planHash, planBytes } = hostile.joined!;
    let pulled = 0;
    const flood = async () => {
      for (;;) {
        await hostile.pull({ name: 'plan', hash: planHash, bytes: planBytes });
        pulled += planBytes;
      }
    };
    await expect(flood()).rejects.toMatchObject({ code: 'wire/rate-limited', retryAfterMs: expect.any(Number) });
    expect(pulled).toBeLessThan(10 * 2 ** 20);
    const sealed = await hostile.seal(offered, ownWords());
    await hostile.push(offered.offerHash, sealed);
    await hostile.commit(offered.offerHash, sealed);
    await expectRoundOf([hostile, ...honest]);
  });

  test('of uploads that are never finished hold no memory but one report', async () => {
    const bytes = (await hostile.seal(offered, ownWords())).length;
    for (let i = 0; i < 60; i++) {
      const hash = nodeCrypto.randomBytes(32);
      const upload = {
        type: 'upload',
        offerHash: offered.offerHash,
        exchange: 0,
        suite: 'nacl-box',
        hash,
        bytes,
      } as const;
      await hostile.peer.request(upload).catch(() => {});
    }
    // There is room for four reports in all: were the others still held, an honest one would find none.
    await Promise.all(honest.map(async (p) => p.accept((await p.offer()).offerHash)));
    const sealed = await Promise.all(honest.map((p) => p.seal(offered, wordsOf(plan, updateOf(p, 0)))));
    await Promise.all(honest.map((p, i) => p.push(offered.offerHash, sealed[i]!)));
    await Promise.all(honest.map((p, i) => p.commit(offered.offerHash, sealed[i]!)));
    hostile.connection.close();
    expect((await run).history[0]!.participants).toBe(3);
  });
});

describe('frames that are not of the protocol end their connection, and no other', () => {
  const garbage: [string, Uint8Array][] = [
    ['nothing', new Uint8Array(0)],
    ['a header longer than the frame', concat(u32le(1000), new Uint8Array(10))],
    ['a header beyond its limit', concat(u32le(LIMITS.headerBytes + 1), new Uint8Array(LIMITS.headerBytes + 1))],
    ['noise', Uint8Array.from({ length: 300 }, (_, i) => (i * 97 + 13) & 255)],
    ['a message of the other direction', encodeFrame({ type: 'ok', re: 1 })],
    ['a body where none belongs', encodeFrame({ type: 'bye', id: 1 }, new Uint8Array(10))],
    ['a body that is missing', encodeFrame({ type: 'put', id: 1, hash: new Uint8Array(32), offset: 0 })],
  ];
  for (const [what, frame] of garbage) {
    test(what, async () => {
      await hostile.connection.send(frame);
      await rest();
      expect(hostile.closed).toBeDefined();
      expect(hostile.log.at(-1)).toMatchObject({ type: 'error', code: expect.stringMatching(/^wire\//) });
      expect(honest.every((p) => p.closed === undefined)).toBe(true);
    });
  }

  test('seeded noise and mutated frames, 300 of them', async () => {
    const rng = stream(11, 'garbage');
    const valid = encodeFrame({ type: 'accept', id: 9, offerHash: offered.offerHash });
    for (let i = 0; i < 300; i++) {
      const connection = at.listener.connect();
      const frame = i % 2 ? valid.slice() : Uint8Array.from({ length: 1 + rng.below(200) }, () => rng.below(256));
      for (let k = 0; k < 3; k++) frame[rng.below(frame.length)] = rng.below(256);
      await connection.send(frame).catch(() => {});
      if (i % 50 === 0) await rest();
      connection.close();
    }
    await hostile.report(offered);
    await expectRoundOf([hostile, ...honest]);
  });
});
