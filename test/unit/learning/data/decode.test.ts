import { writeFileSync } from 'node:fs';
import sharp, { type JpegOptions } from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeImage } from '../../../../learning/data/decode.ts';
import { IMAGES, type StoredImage } from '../../../fixtures/images.ts';
import { pngPictures } from '../../../reference/pictures.ts';
import { encodePng } from '../../../reference/png.ts';

/** A smooth picture, so that lossy files differ little between decoders. */
const gradient = (width: number, height: number, channels: 1 | 3): Buffer =>
  Buffer.from(
    Array.from({ length: width * height * channels }, (_, i) => {
      const c = i % channels;
      const x = Math.floor(i / channels) % width;
      const y = Math.floor(i / channels / width);
      return Math.round(255 * [x / width, y / height, 1 - x / (2 * width)][c]!);
    }),
  );

const jpeg = (channels: 1 | 3, options: JpegOptions, orientation?: number): Promise<Buffer> => {
  const raw = { raw: { width: 24, height: 16, channels } };
  const image = sharp(gradient(24, 16, channels), raw).toColourspace(channels === 1 ? 'b-w' : 'srgb');
  return (orientation ? image.withMetadata({ orientation }) : image).jpeg(options).toBuffer();
};

const jpegs = async (): Promise<{ name: string; file: Buffer }[]> => [
  { name: 'rgb-444.jpg', file: await jpeg(3, { quality: 90, chromaSubsampling: '4:4:4' }) },
  { name: 'rgb-420.jpg', file: await jpeg(3, { quality: 90, chromaSubsampling: '4:2:0' }) },
  { name: 'grey.jpg', file: await jpeg(1, { quality: 90 }) },
  { name: 'progressive.jpg', file: await jpeg(3, { quality: 90, progressive: true }) },
  { name: 'turned.jpg', file: await jpeg(3, { quality: 90, chromaSubsampling: '4:4:4' }, 6) },
];

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** `TACIT_WRITE_FIXTURES=1 npx vitest run test/unit/learning/data/decode.test.ts` writes the pictures that browsers decode. */
async function writeFixtures(): Promise<void> {
  const files = [...pngPictures(), ...(await jpegs())];
  const stored: StoredImage[] = [];
  for (const { name, file } of files) {
    const { width, height, channels, maximum, data } = await decodeImage(file, name);
    const pixels = base64(new Uint8Array(Uint16Array.from(data).buffer));
    stored.push({ name, file: base64(file), width, height, channels, maximum, pixels });
  }
  const url = new URL('../../../fixtures/images.json', import.meta.url);
  writeFileSync(url, `[\n${stored.map((image) => JSON.stringify(image)).join(',\n')}\n]\n`);
}

if (process.env.TACIT_WRITE_FIXTURES) await writeFixtures();

describe('decoding in Node', () => {
  it.each(pngPictures())('$name: every sample exactly, 16 bits kept', async ({ name, file, ...picture }) => {
    const raster = await decodeImage(file, name);
    expect([raster.width, raster.height, raster.channels]).toEqual([picture.width, picture.height, picture.channels]);
    expect(Array.from(raster.data, (value) => value / raster.maximum)).toEqual(picture.values);
  });

  it.each(IMAGES)('$name: what browsers are compared with is what Node gives', async (image) => {
    const raster = await decodeImage(Buffer.from(image.file, 'base64'), image.name);
    expect(raster.channels).toBe(image.channels);
    const stored = Buffer.from(image.pixels, 'base64');
    const pixels = new Uint16Array(stored.buffer.slice(stored.byteOffset, stored.byteOffset + stored.length));
    expect(Array.from(raster.data)).toEqual(Array.from(pixels));
  });

  it('turns JPEG files as their EXIF orientation says, all eight', async () => {
    const width = 24;
    const height = 16;
    const plain = await decodeImage(await jpeg(3, { quality: 100, chromaSubsampling: '4:4:4' }), 'plain.jpg');
    const source: Record<number, (x: number, y: number) => [number, number]> = {
      1: (x, y) => [x, y],
      2: (x, y) => [width - 1 - x, y],
      3: (x, y) => [width - 1 - x, height - 1 - y],
      4: (x, y) => [x, height - 1 - y],
      5: (x, y) => [y, x],
      6: (x, y) => [y, height - 1 - x],
      7: (x, y) => [width - 1 - y, height - 1 - x],
      8: (x, y) => [width - 1 - y, x],
    };
    for (const [orientation, from] of Object.entries(source)) {
      const file = await jpeg(3, { quality: 100, chromaSubsampling: '4:4:4' }, Number(orientation));
      const turned = await decodeImage(file, 'turned.jpg');
      expect([turned.width, turned.height]).toEqual(Number(orientation) < 5 ? [width, height] : [height, width]);
      for (const [x, y] of [
        [0, 0],
        [3, 1],
        [turned.width - 1, 0],
        [2, turned.height - 1],
      ] as const) {
        const [sx, sy] = from(x, y);
        const found = turned.data.subarray((y * turned.width + x) * 3).slice(0, 3);
        expect([...found]).toEqual([...plain.data.subarray((sy * width + sx) * 3).slice(0, 3)]);
      }
    }
  });

  it('does not apply colour profiles: pixels are what is stored', async () => {
    const raw = gradient(8, 8, 3);
    const file = await sharp(raw, { raw: { width: 8, height: 8, channels: 3 } })
      .withIccProfile('p3')
      .png()
      .toBuffer();
    const withProfile = await decodeImage(file, 'p3.png');
    const { data } = await sharp(file, { ignoreIcc: true }).raw().toBuffer({ resolveWithObject: true });
    expect([...withProfile.data]).toEqual([...data]);
    expect([...withProfile.data]).not.toEqual([...raw]);
  });

  it.each([1, 8, 20, 33, 50, 70, 96])('refuses a PNG cut after %i %% of its bytes, naming it', async (percent) => {
    const { file } = pngPictures().find(({ name }) => name === 'rgb-8.png')!;
    const cut = file.subarray(0, Math.floor((file.length * percent) / 100));
    await expect(decodeImage(cut, 'a/b.png')).rejects.toMatchObject({ code: 'data/unreadable', where: 'a/b.png' });
  });

  it.each([1, 10, 30, 60, 80, 99])('refuses a JPEG cut after %i %% of its bytes', async (percent) => {
    const file = await jpeg(3, { quality: 90 });
    const cut = file.subarray(0, Math.floor((file.length * percent) / 100));
    await expect(decodeImage(cut, 'a.jpg')).rejects.toMatchObject({ code: 'data/unreadable' });
  });

  it('refuses a damaged PNG', async () => {
    const file = Uint8Array.from(pngPictures().find(({ name }) => name === 'rgb-8.png')!.file);
    file[60] = file[60]! ^ 0xff;
    await expect(decodeImage(file, 'a.png')).rejects.toMatchObject({ code: 'data/unreadable' });
  });

  it('refuses what is neither, what is empty and what is too large, without decoding it', async () => {
    const text = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>');
    await expect(decodeImage(text, 'a.png')).rejects.toThrow('a.png is neither a PNG nor a JPEG file');
    await expect(decodeImage(new Uint8Array(0), 'a.png')).rejects.toThrow('a.png is empty');
    const large = encodePng({ width: 1, height: 1, bits: 8, colour: 0, samples: [0] });
    large.writeUInt32BE(100_000, 16);
    large.writeUInt32BE(90_000, 20);
    await expect(decodeImage(large, 'bomb.png')).rejects.toThrow(/bomb.png is 90000×100000, more than the 67,108,864/);
  });
});
