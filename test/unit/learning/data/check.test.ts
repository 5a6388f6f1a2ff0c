import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { checkSource } from '../../../../learning/data/check.ts';
import { sourceSpecFromPath } from '../../../../learning/data/locate.ts';
import { encodePng } from '../../../reference/png.ts';

const root = mkdtempSync(join(tmpdir(), 'check-'));
afterAll(() => rmSync(root, { recursive: true }));

const grey = (size: number, value = 200): Buffer =>
  encodePng({ width: size, height: size, bits: 8, colour: 0, samples: new Array(size * size).fill(value).with(0, 0) });
const rgb16 = encodePng({ width: 4, height: 4, bits: 16, colour: 2, samples: new Array(48).fill(65535) });

const mixed = join(root, 'mixed');
for (const group of ['cat', 'dog']) mkdirSync(join(mixed, group), { recursive: true });
writeFileSync(join(mixed, 'cat', '1.png'), grey(4));
writeFileSync(join(mixed, 'cat', '2.png'), grey(4));
writeFileSync(join(mixed, 'cat', '3.png'), grey(9));
writeFileSync(join(mixed, 'dog', '1.png'), rgb16);
writeFileSync(join(mixed, 'dog', '2.png'), 'broken');
writeFileSync(join(mixed, 'notes.txt'), '');

const GREY4 = { shape: [4, 4, 1], resize: 'error', minExamples: 2 } as const;

describe('checking data', () => {
  it('reports count, sizes, range, groups, unreadable and skipped files', async () => {
    const report = await checkSource({ kind: 'folder', path: mixed }, GREY4);
    expect(report).toMatchObject({
      source: mixed,
      examples: 5,
      inspected: 5,
      shapes: [
        { height: 4, width: 4, channels: 1, maximum: 255, count: 2 },
        { height: 4, width: 4, channels: 3, maximum: 65535, count: 1 },
        { height: 9, width: 9, channels: 1, maximum: 255, count: 1 },
      ],
      otherShapes: 0,
      range: { min: 0, max: 1 },
      skipped: { count: 1, first: ['notes.txt'] },
      groups: [
        { name: 'cat', count: 3 },
        { name: 'dog', count: 2 },
      ],
      fit: { exact: 2, resized: 0, recoloured: 1, refused: 1 },
      verdict: 'does not fit',
    });
    expect(report.unreadable.count).toBe(1);
    expect(report.unreadable.first[0]?.where).toBe(join(mixed, 'dog', '2.png'));
    expect(report.problems.map(({ code }) => code)).toEqual(['data/unreadable', 'data/wrong-shape']);
    expect(report.problems[1]?.where).toBe(join(mixed, 'cat', '3.png'));
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  it('with a resize policy the sizes fit', async () => {
    const indices = Int32Array.of(0, 1, 2, 3);
    const report = await checkSource({ kind: 'folder', path: mixed, indices }, { ...GREY4, resize: 'cover' });
    expect(report).toMatchObject({
      examples: 4,
      verdict: 'fits',
      problems: [],
      fit: { exact: 2, resized: 1, refused: 0 },
    });
    expect(report.groups).toEqual([
      { name: 'cat', count: 3 },
      { name: 'dog', count: 1 },
    ]);
  });

  it('too few examples, and an empty folder with files of other kinds', async () => {
    const few = await checkSource(
      { kind: 'bundled', name: 'digits', split: 'test' },
      { ...GREY4, shape: [8, 8, 1], minExamples: 501 },
    );
    expect(few.problems).toEqual([
      { code: 'data/too-few-examples', message: 'the data source holds 500 examples, the plan requires at least 501' },
    ]);
    const empty = join(root, 'empty');
    mkdirSync(empty);
    writeFileSync(join(empty, 'a.tif'), '');
    const report = await checkSource({ kind: 'folder', path: empty }, GREY4);
    expect(report).toMatchObject({ examples: 0, range: null, shapes: [] });
    expect(report.problems[0]?.message).toMatch(/holds 0 examples.*1 files that are neither PNG nor JPEG/);
  });

  it('looks at a sample when told to, and tells its progress', async () => {
    const seen: number[] = [];
    const report = await checkSource(
      { kind: 'bundled', name: 'digits', split: 'train' },
      { ...GREY4, shape: [8, 8, 1] },
      { limit: 10, onProgress: ({ done, total }) => seen.push(done / total) },
    );
    expect(report).toMatchObject({ examples: 1297, inspected: 10, verdict: 'fits', range: { min: 0 } });
    expect(report.fit.exact).toBe(10);
    expect(seen).toHaveLength(10);
    expect(seen.at(-1)).toBe(1);
  });

  it('can be stopped', async () => {
    const checking = checkSource({ kind: 'folder', path: mixed }, GREY4, { signal: AbortSignal.abort() });
    await expect(checking).rejects.toThrow(/abort/i);
  });

  it('notices values that use little of the range', async () => {
    const path = join(root, 'dark.csv');
    writeFileSync(path, '0,16,8,4\n3,4,5,6\n');
    const requirements = { shape: [2, 2, 1], resize: 'error', minExamples: 1 } as const;
    expect((await checkSource({ kind: 'csv', path }, requirements)).notes[0]).toMatch(/no pixel exceeds 6.3 %/);
    expect((await checkSource({ kind: 'csv', path, maximum: 16 }, requirements)).notes).toEqual([]);
  });

  it('a source that cannot be opened is an error, not a report', async () => {
    const checking = checkSource({ kind: 'folder', path: join(root, 'none') }, GREY4);
    await expect(checking).rejects.toMatchObject({ code: 'data/not-found' });
    const indices = Int32Array.of(77);
    await expect(checkSource({ kind: 'folder', path: mixed, indices }, GREY4)).rejects.toMatchObject({
      code: 'data/not-found',
    });
  });
});

describe('what a path means', () => {
  const idx = join(root, 'mnist');
  mkdirSync(idx);
  for (const name of ['train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz', 't10k-images-idx3-ubyte']) {
    writeFileSync(join(idx, name), name.endsWith('.gz') ? gzipSync('') : Buffer.from([0, 0, 8, 3]));
  }
  const csv = join(root, 'a.CSV');
  writeFileSync(csv, '1,2\n');

  it('bundled names, folders, CSV and IDX files', async () => {
    expect(await sourceSpecFromPath('digits')).toEqual({ kind: 'bundled', name: 'digits', split: 'train' });
    expect(await sourceSpecFromPath('fashion-mnist', { split: 'test' })).toMatchObject({ split: 'test' });
    expect(await sourceSpecFromPath(mixed)).toEqual({ kind: 'folder', path: mixed });
    expect(await sourceSpecFromPath(csv, { labelColumn: 'y', maximum: 16 })).toEqual({
      kind: 'csv',
      path: csv,
      labelColumn: 'y',
      maximum: 16,
    });
    const train = join(idx, 'train-images-idx3-ubyte.gz');
    const wanted = { kind: 'idx', images: train, labels: join(idx, 'train-labels-idx1-ubyte.gz') };
    expect(await sourceSpecFromPath(train)).toEqual(wanted);
    expect(await sourceSpecFromPath(idx)).toEqual(wanted);
    const test = join(idx, 't10k-images-idx3-ubyte');
    expect(await sourceSpecFromPath(idx, { split: 'test' })).toEqual({ kind: 'idx', images: test });
    expect(await sourceSpecFromPath(test)).toEqual({ kind: 'idx', images: test });
  });

  it('nothing there, a single image, an unknown kind', async () => {
    await expect(sourceSpecFromPath(join(root, 'none'))).rejects.toMatchObject({
      code: 'data/not-found',
      hint: expect.stringContaining('digits'),
    });
    await expect(sourceSpecFromPath(join(mixed, 'cat', '1.png'))).rejects.toThrow(/is a single image/);
    await expect(sourceSpecFromPath(join(mixed, 'notes.txt'))).rejects.toMatchObject({ code: 'data/unreadable' });
  });
});
