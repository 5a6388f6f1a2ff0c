/** Solarisation (Grill et al. 2020): the bright half of an image is inverted, 1 − x where x ≥ ½. */
import type { TensorSpec } from '../../protocol/tensors.ts';
import { blank, type Part } from './part.ts';

/** 1 for a view that is solarised, else 0. */
const specsOf = (batch: number): Record<'chosen', TensorSpec> => ({
  chosen: { shape: [batch, 1, 1, 1], dtype: 'float32' },
});

export const solarise: Part = {
  active: (spec) => spec.solarise > 0,
  specs: (_, __, batch) => specsOf(batch),
  draw: (rng, spec, _, batch) => {
    const { chosen } = blank(specsOf(batch));
    for (let b = 0; b < batch; b++) chosen.data[b] = rng.next() < spec.solarise ? 1 : 0;
    return { chosen };
  },
  // x − max(0, 2x − 1) is x below ½ and 1 − x above it
  apply: ({ tf }, images, { chosen }) => tf.sub(images, tf.mul(tf.relu(tf.sub(tf.mul(images, 2), 1)), chosen!)),
};
