/**
 * Decodes PNG and JPEG files in a browser or Web Worker: PNG by fast-png (all 16 bits, colour profiles not applied), JPEG by
 * the browser, turned as its EXIF orientation says.
 */
import { convertIndexedToRgb, type DecodedPng, decode as decodePng } from 'fast-png';
import { TacitError } from '../../protocol/errors.ts';
import { type ImageHeader, readImageHeader } from './image-header.ts';
import type { Raster } from './raster.ts';

const damaged = (where: string, cause: unknown): TacitError =>
  new TacitError('data/unreadable', `${where} is damaged: ${cause instanceof Error ? cause.message : cause}`, {
    where,
    cause,
  });

/** fast-png reads interlaced pixels of less than a byte wrongly; the browser decodes those exactly. */
const byBrowser = ({ format, interlaced, bits }: ImageHeader): boolean => format === 'jpeg' || (interlaced && bits < 8);

/** @throws TacitError data/unreadable, naming the file */
export async function decodeImageInBrowser(bytes: Uint8Array, where: string): Promise<Raster> {
  const header = readImageHeader(bytes, where);
  try {
    return byBrowser(header) ? await bitmapRaster(bytes, header) : pngRaster(decodePng(bytes, { checkCrc: true }));
  } catch (cause) {
    throw damaged(where, cause);
  }
}

async function bitmapRaster(bytes: Uint8Array, { format, grey, alpha }: ImageHeader): Promise<Raster> {
  const blob = new Blob([new Uint8Array(bytes)], { type: `image/${format}` });
  const bitmap = await createImageBitmap(blob, {
    colorSpaceConversion: 'none',
    imageOrientation: 'from-image',
    premultiplyAlpha: 'none',
  });
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser has no 2D canvas');
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const kept = grey ? (alpha ? [0, 3] : [0]) : alpha ? [0, 1, 2, 3] : [0, 1, 2];
  const channels = kept.length;
  const out = new Uint8Array(width * height * channels);
  for (let p = 0; p < width * height; p++) {
    for (let c = 0; c < channels; c++) out[p * channels + c] = data[p * 4 + kept[c]!]!;
  }
  return { width, height, channels, maximum: 255, data: out };
}

function pngRaster(png: DecodedPng): Raster {
  const { width, height, depth } = png;
  if (png.palette) {
    const data = convertIndexedToRgb(png);
    return { width, height, channels: data.length / (width * height), maximum: 255, data };
  }
  const data = depth < 8 ? unpackBits(png) : png.data instanceof Uint16Array ? png.data : new Uint8Array(png.data);
  const raster = { width, height, channels: png.channels, maximum: 2 ** depth - 1, data };
  return png.transparency ? withAlpha(raster, png.transparency) : raster;
}

/** Grey samples of 1, 2 or 4 bits, one per byte; rows start on a byte. */
function unpackBits({ width, height, depth, data }: DecodedPng): Uint8Array {
  const out = new Uint8Array(width * height);
  const stride = Math.ceil((width * depth) / 8);
  const mask = 2 ** depth - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      out[y * width + x] = (data[y * stride + (bit >> 3)]! >> (8 - depth - (bit & 7))) & mask;
    }
  }
  return out;
}

/** The colour that a PNG file declares transparent gets alpha 0. */
function withAlpha({ width, height, channels, maximum, data }: Raster, transparent: Uint16Array): Raster {
  const wide = data instanceof Uint16Array;
  const out = wide ? new Uint16Array(width * height * (channels + 1)) : new Uint8Array(width * height * (channels + 1));
  for (let p = 0; p < width * height; p++) {
    let same = true;
    for (let c = 0; c < channels; c++) {
      const value = data[p * channels + c]!;
      out[p * (channels + 1) + c] = value;
      same &&= value === transparent[c];
    }
    out[p * (channels + 1) + channels] = same ? 0 : maximum;
  }
  return { width, height, channels: channels + 1, maximum, data: out };
}
