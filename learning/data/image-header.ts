/**
 * What the first bytes of a PNG or JPEG file say about it, read before anything is decoded: an image that is too large, cut
 * short or of another kind is refused with a reason, and no decoder is asked to allocate for it.
 */
import { TacitError } from '../../protocol/errors.ts';

export interface ImageHeader {
  readonly format: 'png' | 'jpeg';
  readonly width: number;
  readonly height: number;
  /** Bits per sample. */
  readonly bits: number;
  /** Whether the file stores grey (with or without alpha) rather than colours. */
  readonly grey: boolean;
  readonly alpha: boolean;
  readonly interlaced: boolean;
}

/** The largest image that is decoded: 8192×8192. */
export const MAX_PIXELS = 2 ** 26;
/** The largest image file that is read. */
export const MAX_FILE_BYTES = 2 ** 28;

const refuse = (where: string, fault: string, hint?: string): TacitError =>
  new TacitError('data/unreadable', `${where} ${fault}`, { where, ...(hint === undefined ? {} : { hint }) });

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** @throws TacitError data/unreadable, naming the file */
export function readImageHeader(bytes: Uint8Array, where: string): ImageHeader {
  const header = PNG_SIGNATURE.every((byte, i) => bytes[i] === byte)
    ? pngHeader(bytes, where)
    : bytes[0] === 0xff && bytes[1] === 0xd8
      ? jpegHeader(bytes, where)
      : undefined;
  if (!header) throw refuse(where, bytes.length === 0 ? 'is empty' : 'is neither a PNG nor a JPEG file');
  const { width, height } = header;
  if (width === 0 || height === 0) throw refuse(where, 'has no pixels');
  if (width * height > MAX_PIXELS) {
    const limit = `more than the ${MAX_PIXELS.toLocaleString('en')} pixels that are decoded`;
    throw refuse(where, `is ${height}×${width}, ${limit}`, 'shrink it first');
  }
  return header;
}

const text = (bytes: Uint8Array, at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));

/** Walks the chunks to the end, so that a file that is cut short is found out. */
function pngHeader(bytes: Uint8Array, where: string): ImageHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let transparent = false;
  let at = 8;
  for (let type = ''; type !== 'IEND'; ) {
    const next = at + 8 <= bytes.length ? at + 12 + view.getUint32(at) : Number.POSITIVE_INFINITY;
    if (next > bytes.length) throw refuse(where, `is truncated: the PNG file ends after ${bytes.length} bytes`);
    type = text(bytes, at + 4);
    if (at === 8 && (type !== 'IHDR' || next < 33)) throw refuse(where, 'is damaged: a PNG file without its header');
    transparent ||= type === 'tRNS';
    at = next;
  }
  const colour = bytes[25]!;
  return {
    format: 'png',
    width: view.getUint32(16),
    height: view.getUint32(20),
    bits: bytes[24]!,
    grey: colour === 0 || colour === 4,
    alpha: colour === 4 || colour === 6 || transparent,
    interlaced: bytes[28] === 1,
  };
}

/** Start-of-frame markers: 0xC0…0xCF without the tables DHT, JPG and DAC. */
const isFrame = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

/** Walks the segments to the scan and looks for the end marker behind it: decoders differ on files that lack it. */
function jpegHeader(bytes: Uint8Array, where: string): ImageHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let header: ImageHeader | undefined;
  let at = 2;
  while (at + 4 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (isFrame(marker) && at + 10 <= bytes.length) {
      header = {
        format: 'jpeg',
        width: view.getUint16(at + 7),
        height: view.getUint16(at + 5),
        bits: bytes[at + 4]!,
        grey: bytes[at + 9] === 1,
        alpha: false,
        interlaced: marker === 0xc2,
      };
    }
    at += 2 + view.getUint16(at + 2);
    if (marker === 0xda) break;
  }
  for (let end = bytes.length - 2; header && end >= at; end--) {
    if (bytes[end] === 0xff && bytes[end + 1] === 0xd9) return header;
  }
  throw refuse(where, `is truncated or damaged: the JPEG file (${bytes.length} bytes) has no end`);
}
