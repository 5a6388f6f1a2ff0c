/**
 * A decoded image before it is fitted to a plan, and the sources that decode one on request.
 * Node and browsers differ only in how they come by rasters; fitting them (fit.ts) is the same code in both.
 */
import type { Skipped } from './file-list.ts';

/** Pixels as the file has them: row-major, channels interleaved, values 0…maximum. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  /** 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha. */
  readonly channels: number;
  readonly data: Uint8Array | Uint16Array | Float32Array;
  /** The value that stands for full intensity: 255, 65535, 16 (digits), 1 (floats). */
  readonly maximum: number;
}

/** An indexable collection of images of any size. */
export interface RasterSource {
  readonly length: number;
  /** What a person would call it: a path, `digits (train)`. */
  readonly name: string;
  /** Whether the pixels are in memory already, so that keeping another copy gains nothing. */
  readonly inMemory: boolean;
  readonly groups?: readonly string[];
  group?(index: number): number;
  /** The file of example i, or its row within one. */
  nameOf(index: number): string;
  /** @throws TacitError data/unreadable, naming the file */
  raster(index: number): Raster | Promise<Raster>;
  /** Files that were passed over because they are not images. */
  readonly skipped?: Skipped;
}

export const sizeText = (raster: Pick<Raster, 'width' | 'height' | 'channels'>): string =>
  `${raster.height}×${raster.width}×${raster.channels}`;
