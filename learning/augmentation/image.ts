/** Random views of small images. */
import { z } from 'zod';
import type { Augmentation } from '../contracts.ts';

const schema = z.strictObject({
  name: z.literal('image'),
});
type ImageSpec = z.infer<typeof schema>;

export const image: Augmentation<ImageSpec> = {
  name: 'image',
  schema,
  specs: () => ({}),
  draw: () => ({}),
  apply: (_nn, images) => images,
};
