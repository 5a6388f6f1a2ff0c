import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { imagesOf, labelsOf } from '../../../../learning/data/labels.ts';
import { openSource } from '../../../../learning/data/open.ts';
import type { DataContract } from '../../../../learning/data/source.ts';

const folder = mkdtempSync(join(tmpdir(), 'idx-'));
afterAll(() => rmSync(folder, { recursive: true }));

const GREY2: DataContract = { shape: [2, 2, 1], resize: 'error' };

const idx = (type: number, shape: readonly number[], body: Uint8Array): Buffer => {
  const header = Buffer.from([0, 0, type, shape.length, ...shape.flatMap(() => [0, 0, 0, 0])]);
  for (const [axis, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * axis);
  return Buffer.concat([header, body]);
};

const save = (name: string, bytes: Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};

const PIXELS = Uint8Array.from({ length: 12 }, (_, i) => i * 20);
const images = idx(8, [3, 2, 2], PIXELS);
const open = (path: string, labels?: string) =>
  openSource({ kind: 'idx', images: path, ...(labels === undefined ? {} : { labels }) }, GREY2);

describe('IDX files', () => {
  it('plain and gzip give the same values in [0, 1]', async () => {
    for (const path of [save('a', images), save('a.gz', gzipSync(images))]) {
      const { shape, data } = await imagesOf(await open(path));
      expect(shape).toEqual([3, 2, 2, 1]);
      expect([...data]).toEqual(Array.from(PIXELS, (value) => Math.fround(value / 255)));
    }
  });

  it('labels become groups; wider integers too', async () => {
    const path = save('b', images);
    const bytes = await open(path, save('b-labels', idx(8, [3], Uint8Array.of(2, 0, 2))));
    expect([...labelsOf(bytes)]).toEqual([2, 0, 2]);
    expect(bytes.groups).toEqual(['0', '1', '2']);
    const int32 = await open(path, save('b-labels32', idx(12, [3], Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1))));
    expect([...labelsOf(int32)]).toEqual([1, 0, 1]);
  });

  it('colour images and floats', async () => {
    const rgb = save('rgb', idx(8, [1, 2, 2, 3], PIXELS));
    const source = await openSource({ kind: 'idx', images: rgb }, { shape: [2, 2, 3], resize: 'error' });
    expect([...(await imagesOf(source)).data]).toEqual(Array.from(PIXELS, (value) => Math.fround(value / 255)));
    const floats = Buffer.alloc(16);
    [0, 0.25, 0.5, 1].forEach((value, i) => {
      floats.writeFloatBE(value, 4 * i);
    });
    expect([...(await imagesOf(await open(save('f', idx(13, [1, 2, 2], floats))))).data]).toEqual([0, 0.25, 0.5, 1]);
    floats.writeFloatBE(2, 4);
    await expect(open(save('g', idx(13, [1, 2, 2], floats)))).rejects.toThrow(/image 1 .* holds 2; .*\[0, 1\]/);
  });

  const faults: [string, Uint8Array, RegExp][] = [
    ['truncated', images.subarray(0, 20), /truncated: expected 28 bytes for 3×2×2, found 20/],
    [
      'truncated-gz',
      gzipSync(idx(8, [50, 2, 2], new Uint8Array(200))).subarray(0, 25),
      /truncated: expected 216 bytes/,
    ],
    ['too-long', Buffer.concat([images, images]), /longer than it should be: expected 28 bytes for 3×2×2, found 56/],
    ['header-only', images.subarray(0, 10), /ends within its header: expected 16 bytes, found 10/],
    ['text', Buffer.from('hello, world'), /is not an IDX file/],
    ['empty', new Uint8Array(0), /is not an IDX file/],
    ['labels', idx(8, [3], Uint8Array.of(1, 2, 3)), /does not hold images: its dimensions are 3/],
    ['int16', idx(11, [1, 2, 2], new Uint8Array(8)), /wider than a byte/],
  ];
  it.each(faults)('%s is data/unreadable', async (name, bytes, message) => {
    const path = save(name, bytes);
    const opening = open(path);
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.toMatchObject({ code: 'data/unreadable', where: path });
  });

  it('gzip damaged in the middle, and a gzip that only lacks its end, are data/unreadable', async () => {
    const body = Uint8Array.from({ length: 4000 }, (_, i) => (i * 7919) % 251);
    const packed = gzipSync(idx(8, [1000, 2, 2], body));
    const damaged = Uint8Array.from(packed);
    damaged[packed.length - 6] = damaged[packed.length - 6]! ^ 0xff;
    await expect(open(save('damaged.gz', damaged))).rejects.toMatchObject({ code: 'data/unreadable' });
    await expect(open(save('cut.gz', packed.subarray(0, -4)))).rejects.toMatchObject({ code: 'data/unreadable' });
  });

  it('labels that do not match are refused', async () => {
    const path = save('c', images);
    const two = save('c-two', idx(8, [2], Uint8Array.of(0, 1)));
    await expect(open(path, two)).rejects.toThrow(/holds 2 labels for 3 images/);
    const negative = save('c-negative', idx(9, [3], Uint8Array.of(0, 255, 1)));
    await expect(open(path, negative)).rejects.toThrow(/label 1 is -1, not a class number/);
  });

  it('a missing file is data/not-found', async () => {
    await expect(open(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'data/not-found' });
  });

  it('is read once while it does not change, and again when it does', async () => {
    const path = save('once', images);
    const first = await open(path);
    expect(await open(path)).toBe(first);
    writeFileSync(path, idx(8, [1, 2, 2], PIXELS.subarray(0, 4)));
    utimesSync(path, 1, 1);
    expect((await open(path)).length).toBe(1);
  });
});
