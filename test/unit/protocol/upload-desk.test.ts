import { beforeAll, describe, expect, test } from 'vitest';
import { nodeCrypto } from '../../../protocol/crypto/node.ts';
import { TacitError } from '../../../protocol/errors.ts';
import type { ParticipantId } from '../../../protocol/ids.ts';
import { createUploadDesk, type ReceivedReport, type UploadDesk } from '../../../protocol/upload-desk.ts';

const SIZE = 1000;
const offerHash = new Uint8Array(32).fill(1);
const alice = 'alice' as ParticipantId;
const bob = 'bob' as ParticipantId;
const bytes = Uint8Array.from({ length: SIZE }, (_, i) => i & 0xff);
const otherBytes = bytes.map((byte) => byte ^ 1);
let hash: Uint8Array;
let otherHash: Uint8Array;
beforeAll(async () => {
  hash = await nodeCrypto.sha256(bytes);
  otherHash = await nodeCrypto.sha256(otherBytes);
});

const code = (wanted: string) => expect.objectContaining({ code: wanted });
const announce = (change: object = {}) => ({ offerHash, exchange: 0, suite: 'nacl-box', hash, bytes: SIZE, ...change });

function makeDesk(maxBytes = 10 * SIZE, clock = { ms: 0 }): UploadDesk {
  const desk = createUploadDesk({ crypto: nodeCrypto, maxBytes, idleMs: 100, retryAfterMs: 250, now: () => clock.ms });
  desk.begin(offerHash, 0, { 'nacl-box': SIZE });
  return desk;
}

/** Uploads everything in pieces. */
function uploadAll(desk: UploadDesk, who: ParticipantId, content = bytes, itsHash = hash): void {
  for (let at = desk.open(who, announce({ hash: itsHash })); at < SIZE; ) {
    at = desk.put(who, { hash: itsHash, offset: at }, content.subarray(at, at + 300));
  }
}

function collector(): { reports: ReceivedReport[]; take: (report: ReceivedReport) => Promise<void> } {
  const reports: ReceivedReport[] = [];
  return { reports, take: async (report) => void reports.push({ ...report, bytes: report.bytes.slice() }) };
}

describe('an upload', () => {
  test('is put together, handed on once and let go', async () => {
    const desk = makeDesk();
    const { reports, take } = collector();
    uploadAll(desk, alice);
    expect(desk.heldBytes).toBe(SIZE);
    await desk.commit(alice, announce(), take);
    expect(reports).toEqual([{ participant: alice, offerHash, exchange: 0, suite: 'nacl-box', hash, bytes }]);
    expect(desk.heldBytes).toBe(0);
  });

  test('is held until the hand-over has ended', async () => {
    const desk = makeDesk();
    let finish = () => {};
    uploadAll(desk, alice);
    const committing = desk.commit(alice, announce(), () => new Promise((resolve) => (finish = resolve)));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(desk.heldBytes).toBe(SIZE);
    finish();
    await committing;
    expect(desk.heldBytes).toBe(0);
  });

  test('committed again gives the same outcome and is not handed on again', async () => {
    const desk = makeDesk();
    const { reports, take } = collector();
    uploadAll(desk, alice);
    await Promise.all([desk.commit(alice, announce(), take), desk.commit(alice, announce(), take)]);
    await desk.commit(alice, announce(), take);
    expect(reports.length).toBe(1);
    expect(desk.open(alice, announce())).toBe(SIZE);
    expect(desk.put(alice, { hash, offset: 700 }, bytes.subarray(700))).toBe(SIZE);
    expect(desk.heldBytes).toBe(0);
  });

  test('goes on where it stopped, and is not started twice', () => {
    const desk = makeDesk();
    desk.open(alice, announce());
    desk.put(alice, { hash, offset: 0 }, bytes.subarray(0, 400));
    expect(desk.open(alice, announce())).toBe(400);
    expect(desk.heldBytes).toBe(SIZE);
  });

  test('[TR7] of other bytes takes the place of an unfinished one, not of a finished one', async () => {
    const desk = makeDesk();
    desk.open(alice, announce());
    desk.put(alice, { hash, offset: 0 }, bytes.subarray(0, 400));
    const { reports, take } = collector();
    uploadAll(desk, alice, otherBytes, otherHash);
    expect(desk.heldBytes).toBe(SIZE);
    expect(() => desk.put(alice, { hash, offset: 400 }, bytes.subarray(400, 500))).toThrow(code('wire/unexpected'));
    await desk.commit(alice, announce({ hash: otherHash }), take);
    expect(() => desk.open(alice, announce())).toThrow(code('round/duplicate'));
    expect(reports.map((report) => report.bytes)).toEqual([otherBytes]);
  });
});

describe('[TR5] chunks', () => {
  test('that come again are acknowledged again; overlaps count once; gaps are refused', async () => {
    const desk = makeDesk();
    desk.open(alice, announce());
    const put = (from: number, to: number) => desk.put(alice, { hash, offset: from }, bytes.subarray(from, to));
    expect(put(0, 300)).toBe(300);
    expect(put(0, 300)).toBe(300);
    expect(put(100, 200)).toBe(300);
    expect(put(200, 500)).toBe(500);
    expect(() => put(501, 600)).toThrow(code('wire/unexpected'));
    expect(put(500, SIZE)).toBe(SIZE);
    const { reports, take } = collector();
    await desk.commit(alice, announce(), take);
    expect(reports[0]!.bytes).toEqual(bytes);
  });

  test('cannot change what is held', async () => {
    const desk = makeDesk();
    desk.open(alice, announce());
    desk.put(alice, { hash, offset: 0 }, bytes.subarray(0, 600));
    desk.put(alice, { hash, offset: 0 }, otherBytes.subarray(0, 600));
    desk.put(alice, { hash, offset: 300 }, new Uint8Array([...otherBytes.subarray(300, 600), ...bytes.subarray(600)]));
    const { reports, take } = collector();
    await desk.commit(alice, announce(), take);
    expect(reports[0]!.bytes).toEqual(bytes);
  });

  test('beyond the announced size, or of nobody, are refused', () => {
    const desk = makeDesk();
    expect(() => desk.put(alice, { hash, offset: 0 }, bytes)).toThrow(code('wire/unexpected'));
    desk.open(alice, announce());
    expect(() => desk.put(bob, { hash, offset: 0 }, bytes)).toThrow(code('wire/unexpected'));
    expect(() => desk.put(alice, { hash: otherHash, offset: 0 }, bytes)).toThrow(code('wire/unexpected'));
    expect(() => desk.put(alice, { hash, offset: 0 }, new Uint8Array(SIZE + 1))).toThrow(code('report/malformed'));
    expect(desk.put(alice, { hash, offset: 0 }, bytes)).toBe(SIZE);
    expect(() => desk.put(alice, { hash, offset: SIZE }, Uint8Array.of(1))).toThrow(code('report/malformed'));
  });
});

describe('sizes and room', () => {
  test('[TR4] sizes are checked before anything is reserved', () => {
    const desk = makeDesk();
    expect(() => desk.open(alice, announce({ bytes: SIZE + 1 }))).toThrow(code('wire/too-large'));
    expect(() => desk.open(alice, announce({ bytes: SIZE - 1 }))).toThrow(code('report/malformed'));
    expect(() => desk.open(alice, announce({ suite: 'other' }))).toThrow(code('wire/no-common-suite'));
    expect(() => desk.open(alice, announce({ suite: 'constructor' }))).toThrow(code('wire/no-common-suite'));
    expect(() => desk.open(alice, announce({ exchange: 1 }))).toThrow(code('round/stale'));
    expect(() => desk.open(alice, announce({ offerHash: hash }))).toThrow(code('round/stale'));
    expect(desk.heldBytes).toBe(0);
    expect(() => makeDesk(SIZE - 1).open(alice, announce())).toThrow(code('wire/too-large'));
  });

  test('[TR8] a full desk tells others to wait, and has room when one is done', async () => {
    const desk = makeDesk(SIZE);
    uploadAll(desk, alice);
    expect(() => desk.open(bob, announce())).toThrow(
      expect.objectContaining({ code: 'wire/rate-limited', retryAfterMs: 250 }),
    );
    await desk.commit(alice, announce(), async () => {});
    expect(desk.open(bob, announce())).toBe(0);
  });

  test('[TR8] an upload that stands still gives way only when room is short', () => {
    const clock = { ms: 0 };
    const desk = makeDesk(SIZE, clock);
    desk.open(alice, announce());
    clock.ms = 99;
    expect(() => desk.open(bob, announce())).toThrow(code('wire/rate-limited'));
    desk.put(alice, { hash, offset: 0 }, bytes.subarray(0, 10));
    clock.ms = 150;
    expect(() => desk.open(bob, announce())).toThrow(code('wire/rate-limited'));
    clock.ms = 199;
    expect(desk.open(bob, announce())).toBe(0);
    expect(() => desk.put(alice, { hash, offset: 10 }, bytes.subarray(10))).toThrow(code('wire/unexpected'));
    expect(desk.heldBytes).toBe(SIZE);
  });

  test('a report that is in stays in, however long ago, when room is short', async () => {
    const clock = { ms: 0 };
    const desk = makeDesk(SIZE, clock);
    uploadAll(desk, alice);
    await desk.commit(alice, announce(), async () => {});
    desk.open(bob, announce());
    clock.ms = 1000;
    expect(desk.open('carol' as ParticipantId, announce())).toBe(0);
    expect(() => desk.open(alice, announce({ hash: otherHash }))).toThrow(code('round/duplicate'));
  });

  test('leaving frees what is unfinished', () => {
    const desk = makeDesk();
    desk.open(alice, announce());
    desk.open(bob, announce({ hash: otherHash }));
    desk.forget(alice);
    expect(desk.heldBytes).toBe(SIZE);
    desk.end(offerHash);
    expect(desk.heldBytes).toBe(0);
    expect(() => desk.open(alice, announce())).toThrow(code('round/stale'));
  });
});

describe('a commit', () => {
  test('[TR6] of what is incomplete, unknown or another size is refused', async () => {
    const desk = makeDesk();
    const { reports, take } = collector();
    await expect(desk.commit(alice, announce(), take)).rejects.toThrow(code('wire/unexpected'));
    desk.open(alice, announce());
    desk.put(alice, { hash, offset: 0 }, bytes.subarray(0, SIZE - 1));
    await expect(desk.commit(alice, announce(), take)).rejects.toThrow(code('wire/unexpected'));
    desk.put(alice, { hash, offset: SIZE - 1 }, bytes.subarray(SIZE - 1));
    await expect(desk.commit(alice, announce({ bytes: SIZE - 1 }), take)).rejects.toThrow(code('wire/unexpected'));
    await expect(desk.commit(alice, announce({ hash: otherHash }), take)).rejects.toThrow(code('wire/unexpected'));
    await expect(desk.commit(bob, announce(), take)).rejects.toThrow(code('wire/unexpected'));
    expect(reports).toEqual([]);
  });

  test('[TR6] of bytes with another hash is refused, and the right ones may come', async () => {
    const desk = makeDesk();
    const { reports, take } = collector();
    uploadAll(desk, alice, otherBytes, hash);
    await expect(desk.commit(alice, announce(), take)).rejects.toThrow(code('wire/hash-mismatch'));
    expect(reports).toEqual([]);
    expect(desk.heldBytes).toBe(0);
    uploadAll(desk, alice);
    await desk.commit(alice, announce(), take);
    expect(reports.length).toBe(1);
  });

  test('that is refused on hand-over lets another report come', async () => {
    const desk = makeDesk();
    uploadAll(desk, alice);
    const refuse = () => Promise.reject(new TacitError('report/out-of-bounds', 'too long'));
    const outcomes = await Promise.allSettled([
      desk.commit(alice, announce(), refuse),
      desk.commit(alice, announce(), refuse),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected']);
    expect(desk.heldBytes).toBe(0);
    uploadAll(desk, alice, otherBytes, otherHash);
    const { reports, take } = collector();
    await desk.commit(alice, announce({ hash: otherHash }), take);
    expect(reports.length).toBe(1);
  });

  test('under way when the offer ends keeps its memory until it is done', async () => {
    const desk = makeDesk();
    uploadAll(desk, alice);
    let finish = () => {};
    const committing = desk.commit(alice, announce(), () => new Promise((resolve) => (finish = resolve)));
    await new Promise((resolve) => setTimeout(resolve, 5));
    desk.end(offerHash);
    expect(desk.heldBytes).toBe(SIZE);
    finish();
    await committing;
    expect(desk.heldBytes).toBe(0);
  });
});
