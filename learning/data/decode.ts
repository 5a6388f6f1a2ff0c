/** Decodes PNG and JPEG files in Node by sharp, which is loaded on first use. Colour profiles are not applied. */
import type { Sharp } from 'sharp';
import { type ImageHeader, MAX_PIXELS, readImageHeader } from './image-header.ts';
import type { Raster } from './raster.ts';
import { damaged } from './read-file.ts';

type Decoder = (bytes: Uint8Array, options: { autoOrient: boolean }) => Sharp;

let loading: Promise<Decoder> | undefined;

/** One decoding thread per call and no cache of operations: callers decode several files at a time and keep what they need. */
async function loadSharp(): Promise<Decoder> {
  const { default: sharp } = await import('sharp');
  sharp.concurrency(1);
  sharp.cache(false);
  return (bytes, { autoOrient }) =>
    sharp(bytes, { autoOrient, failOn: 'error', ignoreIcc: true, limitInputPixels: MAX_PIXELS });
}

/** 8 bits come as grey, RGB or RGBA; 16 bits keep all of them. */
function rawPixels(image: Sharp, { bits, grey, alpha }: ImageHeader): Sharp {
  if (bits === 16) return image.toColourspace(grey ? 'grey16' : 'rgb16').raw({ depth: 'ushort' });
  return image.toColourspace(grey && !alpha ? 'b-w' : 'srgb').raw({ depth: 'uchar' });
}

/** JPEG files are turned as their EXIF orientation says. @throws TacitError data/unreadable, naming the file */
export async function decodeImage(bytes: Uint8Array, where: string): Promise<Raster> {
  const header = readImageHeader(bytes, where);
  loading ??= loadSharp();
  const open = await loading;
  const image = rawPixels(open(bytes, { autoOrient: header.format === 'jpeg' }), header);
  const { data, info } = await image.toBuffer({ resolveWithObject: true }).catch((cause) => {
    throw damaged(where, cause);
  });
  const { width, height, channels } = info;
  if (header.bits !== 16) {
    const raster = { width, height, channels, maximum: 255, data };
    return header.grey && channels === 4 ? greyWithAlpha(raster) : raster;
  }
  const wide = new Uint16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
  return { width, height, channels, maximum: 65535, data: wide };
}

/** sharp gives 8-bit grey with alpha as RGBA; the three colours are the same. */
function greyWithAlpha({ width, height, maximum, data }: Raster): Raster {
  const kept = new Uint8Array(width * height * 2);
  for (let p = 0; p < width * height; p++) {
    kept[2 * p] = data[4 * p]!;
    kept[2 * p + 1] = data[4 * p + 3]!;
  }
  return { width, height, channels: 2, maximum, data: kept };
}
