/** Options of the augmentation `image`. By default each part does nothing; angles in degrees, lengths relative to the image. */
import { z } from 'zod';

const probability = z.number().min(0).max(1);
const strength = z.number().min(0);

const rising = (range: readonly [number, number]): boolean => range[0] <= range[1];
const RISING = { message: 'must be [lowest, highest]' };
const fraction = z.number().gt(0).max(1);

export const imageSchema = z.strictObject({
  name: z.literal('image'),
  /** Area of the part that fills the view, as a fraction of the image: [lowest, highest]. */
  crop: z.tuple([fraction, fraction]).refine(rising, RISING).default([1, 1]),
  /** Width over height of that part: [lowest, highest]; drawn on a logarithmic scale when there is a crop. */
  aspect: z
    .tuple([z.number().positive(), z.number().positive()])
    .refine(rising, RISING)
    .default([3 / 4, 4 / 3]),
  /** Probability of a mirror image. */
  flip: probability.default(0),
  /** Largest rotation to either side. */
  rotateDegrees: z.number().min(0).max(180).default(0),
  blur: z
    .strictObject({
      probability: probability.default(0),
      /** Standard deviation of the Gaussian in pixels: [lowest, highest]. */
      sigma: z.tuple([z.number().positive(), z.number().positive()]).refine(rising, RISING).default([0.1, 2]),
    })
    .prefault({}),
  /** Brightness is multiplied by 1 ± this. */
  brightness: strength.default(0),
  /** Distance from the image's mean brightness is multiplied by 1 ± this. */
  contrast: strength.default(0),
  /** Distance from grey is multiplied by 1 ± this (three channels). */
  saturation: strength.default(0),
  /** Largest turn of the hue to either side, as a fraction of the circle (three channels). */
  hue: z.number().min(0).max(0.5).default(0),
  /** Probability with which brightness, contrast, saturation and hue change at all. */
  jitterProbability: probability.default(1),
  /** Probability of a view without colour (three channels). */
  grey: probability.default(0),
  /** Probability of a view whose bright half is inverted. */
  solarise: probability.default(0),
  erase: z
    .strictObject({
      probability: probability.default(0),
      /** Area of the rectangle that is set to 0, as a fraction of the view: [lowest, highest]. */
      area: z.tuple([fraction, fraction]).refine(rising, RISING).default([0.02, 0.2]),
      aspect: z
        .tuple([z.number().positive(), z.number().positive()])
        .refine(rising, RISING)
        .default([1 / 2, 2]),
    })
    .prefault({}),
});

export type ImageSpec = z.infer<typeof imageSchema>;
