/**
 * Random views of images: crop, mirror, rotation, blur, colour, solarisation and erasing, in this order. What small images need is in
 * the plans: 8×8 digits crop 0.5–1, rotate ±15°, no mirror; 28×28 grey crop 0.3–1, mirror, brightness and contrast ±0.4.
 */
import type { Augmentation, ImageShape } from '../contracts.ts';
import { under, within } from '../names.ts';
import { blur } from './blur.ts';
import { colour } from './colour.ts';
import { erase } from './erase.ts';
import { resample, warp } from './geometry.ts';
import { type ImageSpec, imageSchema } from './image-spec.ts';
import { solarise } from './solarise.ts';

const PARTS = { resample, warp, blur, colour, solarise, erase };

const activeParts = (spec: ImageSpec, shape: ImageShape) =>
  Object.entries(PARTS).filter(([, part]) => part.active(spec, shape));

export const image: Augmentation<ImageSpec> = {
  name: 'image',
  schema: imageSchema,
  specs: (spec, shape, batch) =>
    Object.assign({}, ...activeParts(spec, shape).map(([name, part]) => under(name, part.specs(spec, shape, batch)))),
  draw: (rng, spec, shape, batch) =>
    Object.assign(
      {},
      ...activeParts(spec, shape).map(([name, part]) => under(name, part.draw(rng, spec, shape, batch))),
    ),
  apply: (nn, images, draws, spec) => {
    const shape = images.shape.slice(1) as unknown as ImageShape;
    return activeParts(spec, shape).reduce((views, [name, part]) => part.apply(nn, views, within(name, draws)), images);
  },
};
