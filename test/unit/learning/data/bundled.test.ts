import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bundledFolder, readManifest } from '../../../../learning/data/bundled.ts';
import { imagesOf, labelsOf } from '../../../../learning/data/labels.ts';
import { openSource } from '../../../../learning/data/open.ts';
import { readDataFile } from '../../../../learning/data/read-file.ts';
import type { BundledName, DataContract } from '../../../../learning/data/source.ts';

const GREY8: DataContract = { shape: [8, 8, 1], resize: 'error' };
const GREY28: DataContract = { shape: [28, 28, 1], resize: 'error' };

const open = (name: BundledName, split: 'train' | 'test', contract: DataContract) =>
  openSource({ kind: 'bundled', name, split }, contract);

describe('bundled data', () => {
  it('has the bytes that the manifest promises', async () => {
    for (const { splits } of Object.values(await readManifest())) {
      for (const { images, labels } of Object.values(splits)) {
        for (const { file, bytes, sha256 } of [images, labels]) {
          const found = await readDataFile(`${bundledFolder}${file}`);
          expect(found.length).toBe(bytes);
          expect(createHash('sha256').update(found).digest('hex')).toBe(sha256);
        }
      }
    }
  });

  it('digits: 1,297 and 500 images in [0, 1], full intensity included, balanced test classes', async () => {
    const train = await open('digits', 'train', GREY8);
    const test = await open('digits', 'test', GREY8);
    expect([train.length, test.length]).toEqual([1297, 500]);
    const image = await imagesOf(train);
    expect(image.shape).toEqual([1297, 8, 8, 1]);
    expect(Math.min(...image.data)).toBe(0);
    expect(Math.max(...image.data)).toBe(1);
    expect(image.data.every((value) => Number.isInteger(value * 16))).toBe(true);
    const counts = new Array(10).fill(0);
    for (const label of labelsOf(test)) counts[label]++;
    expect(counts).toEqual(new Array(10).fill(50));
    expect(train.groups).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  it('digits: the first image of the original file, a zero, keeps its pixels', async () => {
    const zero = [
      0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4, 12, 0, 0, 8, 8, 0,
    ];
    const holders = await Promise.all((['train', 'test'] as const).map((split) => open('digits', split, GREY8)));
    const found = await Promise.all(holders.map(async (source) => (await source.read([0])).image.data.subarray(0, 32)));
    expect(found.map((pixels) => [...pixels].map((value) => value * 16))).toContainEqual(zero);
  });

  it('digits: no image of the test split is in the training split', async () => {
    const texts = async (split: 'train' | 'test') => {
      const { data } = await imagesOf(await open('digits', split, GREY8));
      return Array.from({ length: data.length / 64 }, (_, i) => data.subarray(i * 64, (i + 1) * 64).join());
    };
    const train = new Set(await texts('train'));
    expect((await texts('test')).filter((text) => train.has(text))).toEqual([]);
  });

  it('fashion-mnist: balanced classes, 28×28, the full range', async () => {
    for (const [split, perClass] of [
      ['train', 1000],
      ['test', 200],
    ] as const) {
      const source = await open('fashion-mnist', split, GREY28);
      const counts = new Array(10).fill(0);
      for (const label of labelsOf(source)) counts[label]++;
      expect(counts).toEqual(new Array(10).fill(perClass));
      const { image } = await source.read([0, source.length - 1]);
      expect(image.shape).toEqual([2, 28, 28, 1]);
      expect(Math.max(...image.data)).toBeLessThanOrEqual(1);
      expect(Math.max(...image.data)).toBeGreaterThan(0.5);
      expect(source.groups?.[9]).toBe('Ankle boot');
    }
  });

  it('refuses another size unless the plan says how to resize, and can then give it', async () => {
    const refused = open('digits', 'train', GREY28).then((source) => source.read([3]));
    await expect(refused).rejects.toMatchObject({
      code: 'data/wrong-shape',
      message: expect.stringContaining('digits (train), image 4 is 8×8×1, the plan wants 28×28×1'),
      hint: expect.stringContaining('cover'),
    });
    const source = await open('digits', 'train', { shape: [28, 28, 3], resize: 'contain' });
    const { image } = await source.read([3]);
    expect(image.shape).toEqual([1, 28, 28, 3]);
  });

  it('restricts to indices, in their order, and refuses those that are not there', async () => {
    const all = await open('digits', 'train', GREY8);
    const spec = { kind: 'bundled', name: 'digits', split: 'train' } as const;
    const some = await openSource({ ...spec, indices: Int32Array.of(7, 3, 3) }, GREY8);
    expect(some.length).toBe(3);
    expect([...labelsOf(some)]).toEqual([7, 3, 3].map((i) => all.group!(i)));
    expect((await some.read([1, 0])).image).toEqual((await all.read([3, 7])).image);
    await expect(openSource({ ...spec, indices: Int32Array.of(1297) }, GREY8)).rejects.toMatchObject({
      code: 'data/not-found',
    });
    await expect(some.read([3])).rejects.toMatchObject({ code: 'data/not-found' });
  });

  it('is opened once per process', async () => {
    expect(await open('digits', 'train', GREY8)).toBe(await open('digits', 'train', GREY8));
  });
});
