/** Writes PNG files of every kind, sample by sample: the ground truth that decoders are compared with. */
import { crc32, deflateSync } from 'node:zlib';

export interface PngPicture {
  readonly width: number;
  readonly height: number;
  /** Bits per sample: 1, 2, 4, 8, 16. */
  readonly bits: number;
  /** 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA. */
  readonly colour: 0 | 2 | 3 | 4 | 6;
  /** Samples in row-major order, channels interleaved; palette indices for colour 3. */
  readonly samples: ArrayLike<number>;
  readonly palette?: readonly (readonly [number, number, number])[];
  /** Content of the tRNS chunk. */
  readonly transparency?: readonly number[];
  readonly interlaced?: boolean;
}

const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 } as const;

/** x, y of the first pixel and the steps, of each Adam7 pass. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

function chunk(type: string, data: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, 'latin1');
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
}

function packRow(samples: readonly number[], bits: number): number[] {
  const text = samples.map((sample) => sample.toString(2).padStart(bits, '0')).join('');
  const bytes = text.match(/.{1,8}/g) ?? [];
  return bytes.map((byte) => Number.parseInt(byte.padEnd(8, '0'), 2));
}

/** Rows with filter 0, or with filter 1 (difference to the pixel on the left) on every other row. */
function filtered(row: number[], y: number, pixelBytes: number): number[] {
  if (y % 2 === 0) return [0, ...row];
  return [1, ...row.map((value, i) => (value - (row[i - pixelBytes] ?? 0)) & 255)];
}

export function encodePng(picture: PngPicture): Buffer {
  const { width, height, bits, colour, samples, palette, transparency, interlaced = false } = picture;
  const channels = CHANNELS[colour];
  const pixelBytes = Math.ceil((bits * channels) / 8);
  const passes = interlaced ? ADAM7 : ([[0, 0, 1, 1]] as const);
  const raw: number[] = [];
  for (const [x0, y0, dx, dy] of passes) {
    if (x0 >= width) continue;
    for (let y = y0, line = 0; y < height; y += dy, line++) {
      const row: number[] = [];
      for (let x = x0; x < width; x += dx) {
        for (let c = 0; c < channels; c++) row.push(samples[(y * width + x) * channels + c]!);
      }
      raw.push(...filtered(packRow(row, bits), line, pixelBytes));
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bits, colour, 0, 0, interlaced ? 1 : 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    ...(palette ? [chunk('PLTE', Uint8Array.from(palette.flat()))] : []),
    ...(transparency ? [chunk('tRNS', Uint8Array.from(transparency))] : []),
    chunk('IDAT', deflateSync(Uint8Array.from(raw))),
    chunk('IEND', new Uint8Array(0)),
  ]);
}
