import { describe, expect, it } from 'vitest';
import { checkSourceInBrowser, openRastersInBrowser, openSourceInBrowser } from '../../learning/data/browser.ts';
import { decodeImageInBrowser } from '../../learning/data/decode-browser.ts';
import { imagesOf, labelsOf } from '../../learning/data/labels.ts';
import type { SourceSpec } from '../../learning/data/source.ts';
import { float32 } from '../../protocol/tensors.ts';
import { IMAGES, type StoredImage } from '../fixtures/images.ts';

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

const pixelsOf = (image: StoredImage): number[] =>
  Array.from(new Uint16Array(bytesOf(image.pixels).buffer), (value) => value / image.maximum);

/** How far a value may lie from Node's: JPEG decoders may round differently, PNG decoders may not. */
const TOLERANCE = 3 / 255;

const fileOf = ({ name, file }: StoredImage, path = name): File => {
  const result = new File([bytesOf(file)], name, { lastModified: 1 });
  Object.defineProperty(result, 'webkitRelativePath', { value: path === name ? '' : path });
  return result;
};

const filesSpec = (...files: File[]): SourceSpec => ({ kind: 'files', files });

const named = (name: string): StoredImage => IMAGES.find((image) => image.name === name)!;

describe('decoding in the browser', () => {
  it('has pictures to compare', () => expect(IMAGES.length).toBeGreaterThan(40));

  it.each(IMAGES)('$name as in Node', async (image) => {
    const raster = await decodeImageInBrowser(bytesOf(image.file), image.name);
    expect([raster.width, raster.height, raster.channels]).toEqual([image.width, image.height, image.channels]);
    const values = Array.from(raster.data, (value) => value / raster.maximum);
    const expected = pixelsOf(image);
    if (image.name.endsWith('.png')) expect(values).toEqual(expected);
    else for (const [i, value] of values.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(TOLERANCE);
  });

  it('refuses truncated, damaged, huge and other files, naming them', async () => {
    const png = bytesOf(named('rgb-8.png').file);
    const jpeg = bytesOf(named('rgb-420.jpg').file);
    const damaged = png.map((byte, i) => (i === 60 ? byte ^ 255 : byte));
    const huge = png.slice();
    new DataView(huge.buffer).setUint32(16, 1e6);
    for (const bytes of [png.subarray(0, 70), jpeg.subarray(0, jpeg.length - 40), damaged, huge, new Uint8Array(9)]) {
      await expect(decodeImageInBrowser(bytes, 'x.png')).rejects.toMatchObject({
        code: 'data/unreadable',
        where: 'x.png',
      });
    }
  });
});

describe('sources in the browser', () => {
  it('picked files: groups by subfolder, natural order, hidden files and other kinds passed over', async () => {
    const spec = filesSpec(
      fileOf(named('rgb-8.png'), 'photos/cat/10.png'),
      fileOf(named('rgb-8-adam7.png'), 'photos/cat/9.png'),
      fileOf(named('grey-16.png'), 'photos/ape/1.png'),
      fileOf(named('grey-8.png'), 'photos/.hidden/1.png'),
      new File(['text'], 'notes.txt'),
    );
    const rasters = await openRastersInBrowser(spec);
    expect([0, 1, 2].map((i) => rasters.nameOf(i))).toEqual(['ape/1.png', 'cat/9.png', 'cat/10.png']);
    expect(rasters.skipped).toEqual({ count: 1, first: ['notes.txt'] });
    const source = await openSourceInBrowser(spec, { shape: [5, 7, 3], resize: 'error' });
    expect(source.groups).toEqual(['ape', 'cat']);
    expect([...labelsOf(source)]).toEqual([0, 1, 1]);
    const { data, shape } = await imagesOf(source);
    expect(shape).toEqual([3, 5, 7, 3]);
    const last = pixelsOf(named('rgb-8.png')).map(Math.fround);
    expect(Array.from(data.subarray(2 * 105))).toEqual(last);
  });

  it('says what does not fit', async () => {
    const spec = filesSpec(fileOf(named('rgb-8.png')), new File([new Uint8Array(20)], 'broken.png'));
    const report = await checkSourceInBrowser(spec, { shape: [8, 8, 1], resize: 'error', minExamples: 3 });
    expect(report.verdict).toBe('does not fit');
    expect(report.problems.map(({ code }) => code)).toEqual([
      'data/unreadable',
      'data/wrong-shape',
      'data/too-few-examples',
    ]);
  });

  it('memory and indices', async () => {
    const image = float32(
      [3, 2, 2, 1],
      Float32Array.from({ length: 12 }, (_, i) => i / 12),
    );
    const source = await openSourceInBrowser(
      { kind: 'memory', image, groups: [1, 0, 1], indices: Int32Array.of(2, 0) },
      { shape: [2, 2, 1], resize: 'error' },
    );
    expect([...labelsOf(source)]).toEqual([1, 1]);
    expect(Array.from((await source.read([1])).image.data)).toEqual(Array.from(image.data.subarray(0, 4)));
  });

  it('bundled data from the page’s server, gunzipped', async () => {
    const contract = { shape: [8, 8, 1], resize: 'error' } as const;
    const spec = { kind: 'bundled', name: 'digits', split: 'test' } as const;
    const source = await openSourceInBrowser(spec, contract, { dataUrl: '/data/' });
    expect(source.length).toBe(500);
    const { data } = await imagesOf(source);
    expect(Math.max(...data)).toBe(1);
    expect(data.every((value) => Number.isInteger(value * 16))).toBe(true);
    await expect(
      openSourceInBrowser({ ...spec, split: 'train' }, contract, { dataUrl: '/nothing-here/' }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^data\//) });
  });

  it('files on a disk are not for browsers', async () => {
    const opening = openSourceInBrowser({ kind: 'folder', path: 'x' }, { shape: [8, 8, 1], resize: 'error' });
    await expect(opening).rejects.toThrow(/browser cannot open/);
  });
});
