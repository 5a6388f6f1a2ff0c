/** Draws an example as the encoder will see it: same size, same channels. */
import type { NDArray } from '../../../protocol/tensors.ts';

/** RGBA bytes of example `index` of a batch [n, height, width, channels] in [0, 1]. */
export function rgbaOf({ shape, data }: NDArray, index: number): Uint8ClampedArray<ArrayBuffer> {
  const [, height, width, channels] = shape as [number, number, number, number];
  const pixels = new Uint8ClampedArray(width * height * 4);
  const start = index * height * width * channels;
  for (let p = 0; p < width * height; p++) {
    for (let c = 0; c < 3; c++) pixels[p * 4 + c] = data[start + p * channels + Math.min(c, channels - 1)]! * 255;
    pixels[p * 4 + 3] = 255;
  }
  return pixels;
}

/** A canvas with example `index` of a batch; decorative, since the count beside it says what matters. */
export function thumbnail(batch: NDArray, index: number): HTMLCanvasElement {
  const [, height, width] = batch.shape as [number, number, number, number];
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  canvas.setAttribute('aria-hidden', 'true');
  canvas.getContext('2d')?.putImageData(new ImageData(rgbaOf(batch, index), width, height), 0, 0);
  return canvas;
}
