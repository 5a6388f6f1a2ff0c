import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createExampleCache, type ExampleCache } from '../../../../learning/data/cache.ts';
import { openFolder } from '../../../../learning/data/folder.ts';
import { imagesOf, labelsOf } from '../../../../learning/data/labels.ts';
import { openRasters, openSource } from '../../../../learning/data/open.ts';
import type { DataContract } from '../../../../learning/data/source.ts';
import { encodePng } from '../../../reference/png.ts';

const root = mkdtempSync(join(tmpdir(), 'folder-'));
afterAll(() => rmSync(root, { recursive: true }));

const GREY2: DataContract = { shape: [2, 2, 1], resize: 'error' };

const dot = (value: number, size = 2): Buffer =>
  encodePng({ width: size, height: size, bits: 8, colour: 0, samples: new Array(size * size).fill(value) });

/** A folder with these files below it; numbers become PNG files of that grey. */
function folder(name: string, files: Readonly<Record<string, number | string>>): string {
  const path = join(root, name);
  mkdirSync(path, { recursive: true });
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), typeof content === 'number' ? dot(content) : content);
  }
  return path;
}

const greys = async (path: string): Promise<number[]> => {
  const { data } = await imagesOf(await openSource({ kind: 'folder', path }, GREY2));
  return Array.from({ length: data.length / 4 }, (_, i) => Math.round(data[4 * i]! * 255));
};

describe('a folder of images', () => {
  it('is read in natural order, hidden files and other kinds passed over', async () => {
    const path = folder('order', {
      '10.png': 10,
      '2.PNG': 2,
      '1.png': 1,
      '.hidden.png': 99,
      '.git/1.png': 99,
      '__MACOSX/1.png': 99,
      'notes.txt': 'text',
      'photo.tif': 'II',
    });
    expect(await greys(path)).toEqual([1, 2, 10]);
    const rasters = await openRasters({ kind: 'folder', path });
    expect(rasters.skipped).toEqual({ count: 2, first: ['notes.txt', 'photo.tif'] });
    expect(rasters.groups).toBeUndefined();
    expect(rasters.nameOf(2)).toBe(join(path, '10.png'));
  });

  it('has its subfolders as groups, deeper ones included', async () => {
    const path = folder('groups', { 'b/1.png': 3, 'a10/x/1.png': 2, 'a2/1.png': 1, '0.png': 0, 'b/inner/2.png': 4 });
    const source = await openSource({ kind: 'folder', path }, GREY2);
    expect(source.groups).toEqual(['.', 'a2', 'a10', 'b']);
    expect(await greys(path)).toEqual([0, 1, 2, 3, 4]);
    expect([...labelsOf(source)]).toEqual([0, 1, 2, 3, 3]);
  });

  it('follows links, but not in circles', async () => {
    const path = folder('links', { 'a/1.png': 1 });
    symlinkSync(path, join(path, 'a', 'loop'));
    symlinkSync(join(path, 'a', '1.png'), join(path, 'a', '2.png'));
    symlinkSync(join(path, 'nowhere'), join(path, 'a', '3.png'));
    expect(await greys(path)).toEqual([1, 1]);
  });

  it('names the file that cannot be read, and reads the others', async () => {
    const path = folder('broken', { '1.png': 1, '2.png': 'not an image', '3.png': 3 });
    truncateSync(join(path, '3.png'), 40);
    const source = await openSource({ kind: 'folder', path }, GREY2);
    expect((await source.read([0])).image.data[0]).toBe(Math.fround(1 / 255));
    for (const [index, name] of [
      [1, '2.png'],
      [2, '3.png'],
    ] as const) {
      await expect(source.read([0, index])).rejects.toMatchObject({
        code: 'data/unreadable',
        where: join(path, name),
        message: expect.stringContaining(name),
      });
    }
  });

  it('says data/wrong-shape with the file, and data/not-found for a folder or file that is not there', async () => {
    const path = folder('wrong', { '1.png': 1 });
    const source = await openSource({ kind: 'folder', path }, { shape: [4, 4, 1], resize: 'error' });
    await expect(source.read([0])).rejects.toMatchObject({ code: 'data/wrong-shape', where: join(path, '1.png') });
    const missing = openSource({ kind: 'folder', path: join(root, 'none') }, GREY2);
    await expect(missing).rejects.toMatchObject({ code: 'data/not-found' });
    const gone = folder('gone', { '1.png': 1 });
    const opened = await openSource({ kind: 'folder', path: gone }, GREY2);
    rmSync(join(gone, '1.png'));
    await expect(opened.read([0])).rejects.toMatchObject({ code: 'data/not-found', where: join(gone, '1.png') });
  });

  it('is listed again when a file came or went, and is the same source otherwise', async () => {
    const path = folder('changing', { 'a/1.png': 1 });
    const first = await openFolder(path);
    expect(await openFolder(path)).toBe(first);
    await new Promise((resolve) => setTimeout(resolve, 20));
    folder('changing', { 'a/2.png': 2 });
    expect(await greys(path)).toEqual([1, 2]);
  });

  it('decodes each file once while the cache holds it', async () => {
    const path = folder('cached', { '1.png': 1, '2.png': 2 });
    const source = await openSource({ kind: 'folder', path }, GREY2);
    const before = await imagesOf(source);
    for (const name of readdirSync(path)) rmSync(join(path, name));
    expect(await imagesOf(source)).toEqual(before);
  });

  it('reads many files with few open and little in memory', async () => {
    const path = folder('many', { 'a/0.png': 0 });
    const count = 2000;
    writeFileSync(join(path, 'a', '0.png'), dot(0, 64));
    for (let i = 1; i < count; i++) cpSync(join(path, 'a', '0.png'), join(path, 'a', `${i}.png`));
    const cache: ExampleCache = createExampleCache(200_000);
    const source = await openSource({ kind: 'folder', path }, { shape: [64, 64, 1], resize: 'error' }, { cache });
    expect(source.length).toBe(count);
    const handles = (): number => readdirSync('/proc/self/fd').length;
    const canCount = process.platform === 'linux';
    const before = canCount ? handles() : 0;
    let most = 0;
    const timer = setInterval(() => {
      if (canCount) most = Math.max(most, handles());
    }, 1);
    for (let start = 0; start < count; start += 250) {
      await source.read(Int32Array.from({ length: 250 }, (_, i) => start + i));
      expect(cache.bytes).toBeLessThanOrEqual(200_000);
    }
    clearInterval(timer);
    if (canCount) expect(most - before).toBeLessThan(20);
    expect(cache.bytes).toBeGreaterThan(100_000);
  });
});
