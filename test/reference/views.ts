/** Augmented views as their definitions say: each pixel of a view looked up, recoloured or erased by itself. */
import { type Image, mean } from './network.ts';

/** Bilinear value at a position in pixels (centres at integers): the edge's up to half a pixel beyond it, then 0. */
export function sample(image: Image, y: number, x: number): number[] {
  const [height, width] = [image.length, image[0]!.length];
  const outside = (at: number, size: number): boolean => at < -0.5 || at > size - 0.5;
  if (outside(y, height) || outside(x, width)) return image[0]![0]!.map(() => 0);
  const clamp = (at: number, size: number): number => Math.min(Math.max(at, 0), size - 1);
  const [cy, cx] = [clamp(y, height), clamp(x, width)];
  return image[0]![0]!.map((_, c) => {
    let value = 0;
    for (let i = 0; i < height; i++)
      for (let j = 0; j < width; j++)
        value += Math.max(0, 1 - Math.abs(cy - i)) * Math.max(0, 1 - Math.abs(cx - j)) * image[i]![j]![c]!;
    return value;
  });
}

export interface Placement {
  /** Of the part that fills the view, in fractions of the image. */
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
  readonly mirrored?: boolean;
  /** Counter-clockwise turn of the sampling grid about the part's centre, y downwards, in degrees. */
  readonly degrees?: number;
}

/** The view that shows that part of the image, at the image's size. */
export function place(image: Image, { top, left, height, width, mirrored = false, degrees = 0 }: Placement): Image {
  const [rows, columns] = [image.length, image[0]!.length];
  const angle = (degrees * Math.PI) / 180;
  return image.map((row, i) =>
    row.map((_, j) => {
      const fromCentreY = ((i + 0.5) / rows - 0.5) * height * rows;
      const fromCentreX = ((j + 0.5) / columns - 0.5) * width * columns * (mirrored ? -1 : 1);
      const y = (top + height / 2) * rows + Math.sin(angle) * fromCentreX + Math.cos(angle) * fromCentreY;
      const x = (left + width / 2) * columns + Math.cos(angle) * fromCentreX - Math.sin(angle) * fromCentreY;
      return sample(image, y - 0.5, x - 0.5);
    }),
  );
}

const clip = (v: number): number => Math.min(1, Math.max(0, v));
export const brightnessOf = (pixel: readonly number[]): number =>
  pixel.length === 1 ? pixel[0]! : 0.299 * pixel[0]! + 0.587 * pixel[1]! + 0.114 * pixel[2]!;

/** First brightness, then contrast about the mean brightness, then the distance from grey; cut to [0, 1] at the end. */
export function recolour(image: Image, brightness: number, contrast: number, saturation = 1): Image {
  const bright = image.map((row) => row.map((pixel) => pixel.map((v) => v * brightness)));
  const centre = mean(bright.flat().map(brightnessOf));
  const contrasted = bright.map((row) => row.map((pixel) => pixel.map((v) => centre + (v - centre) * contrast)));
  return contrasted.map((row) =>
    row.map((pixel) => pixel.map((v) => clip(brightnessOf(pixel) + (v - brightnessOf(pixel)) * saturation))),
  );
}
