/**
 * Fits a raster to what a plan asks for: full range to [0, 1], alpha over black, grey ↔ RGB, and the plan's resize policy.
 * `cover` fills the frame and crops around the centre; `contain` fits into it and pads with zeros around the centre.
 */
import { TacitError } from '../../protocol/errors.ts';
import { type Raster, sizeText } from './raster.ts';
import { axisTaps, resampleColumn, resampleRow } from './resample.ts';
import type { DataContract } from './source.ts';

/** Luma weights of ITU-R BT.601, applied to the values as stored. */
const LUMA = [0.299, 0.587, 0.114] as const;

/** Whether the raster already has the plan's size and channels, so that only its range is left to do. */
export const fitsExactly = (raster: Raster, [height, width, channels]: DataContract['shape']): boolean =>
  raster.height === height && raster.width === width && raster.channels === channels;

/** The error for an image whose size the plan refuses. */
export function wrongShape(raster: Raster, contract: DataContract, where: string): TacitError {
  const message = `${where} is ${sizeText(raster)}, the plan wants ${contract.shape.join('×')} (height×width×channels)`;
  const hint =
    'make the images that size, or set data.resize in the plan to cover (fill and crop) or contain (fit and pad)';
  return new TacitError('data/wrong-shape', message, { where, hint });
}

/** One row with `channels` (1 or 3) values per pixel, still 0…maximum, written to `out` at `offset`. */
function convertRow(raster: Raster, y: number, channels: number, out: Float32Array, offset: number): void {
  const { data, width, maximum, channels: stored } = raster;
  const start = y * width * stored;
  if (stored === channels) {
    out.set(data.subarray(start, start + width * stored), offset);
    return;
  }
  const hasAlpha = stored === 2 || stored === 4;
  const colour = stored >= 3;
  for (let x = 0; x < width; x++) {
    const p = start + x * stored;
    const opacity = hasAlpha ? data[p + stored - 1]! / maximum : 1;
    const place = offset + x * channels;
    if (channels === 1) {
      const grey = colour ? LUMA[0] * data[p]! + LUMA[1] * data[p + 1]! + LUMA[2] * data[p + 2]! : data[p]!;
      out[place] = grey * opacity;
    } else {
      for (let c = 0; c < 3; c++) out[place + c] = data[colour ? p + c : p]! * opacity;
    }
  }
}

interface Placement {
  readonly target: number;
  readonly offset: number;
  readonly start: number;
  readonly length: number;
}

/** Where one axis of the image goes: `target` pixels at `offset` of the frame, from the window [start, start + length). */
function place(source: number, frame: number, scale: number, resize: 'cover' | 'contain'): Placement {
  if (resize === 'cover') {
    const length = frame / scale;
    return { target: frame, offset: 0, start: (source - length) / 2, length };
  }
  const target = Math.min(frame, Math.max(1, Math.round(source * scale)));
  return { target, offset: Math.floor((frame - target) / 2), start: 0, length: source };
}

/** Values 0…maximum of the resized image. */
function resized(raster: Raster, shape: DataContract['shape'], resize: 'cover' | 'contain'): Float32Array {
  const [height, width, channels] = shape;
  const ratios = [height / raster.height, width / raster.width];
  const scale = resize === 'cover' ? Math.max(...ratios) : Math.min(...ratios);
  const down = place(raster.height, height, scale, resize);
  const across = place(raster.width, width, scale, resize);
  const yTaps = axisTaps(raster.height, down, down.target);
  const xTaps = axisTaps(raster.width, across, across.target);
  const row = new Float32Array(raster.width * channels);
  const stride = across.target * channels;
  const rows = new Float32Array(raster.height * stride);
  for (let y = 0; y < raster.height; y++) {
    convertRow(raster, y, channels, row, 0);
    resampleRow(row, xTaps, channels, rows, y * stride);
  }
  const out = new Float32Array(height * width * channels);
  for (let y = 0; y < down.target; y++) {
    const offset = ((y + down.offset) * width + across.offset) * channels;
    resampleColumn(rows, stride, yTaps, y, out, offset);
  }
  return out;
}

/**
 * @returns the raster itself when it fits already (a byte per value stays a byte), otherwise a new one of the plan's shape
 * @throws TacitError data/wrong-shape under `resize: error`
 */
export function fitRaster(raster: Raster, contract: DataContract, where: string): Raster {
  const [height, width, channels] = contract.shape;
  if (fitsExactly(raster, contract.shape)) return raster;
  const unit = (data: Float32Array): Raster => ({
    width,
    height,
    channels,
    maximum: 1,
    data: data.map((value) => value / raster.maximum),
  });
  if (raster.height === height && raster.width === width) {
    const data = new Float32Array(height * width * channels);
    for (let y = 0; y < height; y++) convertRow(raster, y, channels, data, y * width * channels);
    return unit(data);
  }
  if (contract.resize === 'error') throw wrongShape(raster, contract, where);
  return unit(resized(raster, contract.shape, contract.resize));
}

/** Writes a fitted raster as values in [0, 1] into a batch. */
export function writeUnit({ data, maximum }: Raster, out: Float32Array, offset: number): void {
  if (maximum === 1 && data instanceof Float32Array) out.set(data, offset);
  else for (let i = 0; i < data.length; i++) out[offset + i] = data[i]! / maximum;
}
