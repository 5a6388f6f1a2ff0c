/** Random erasing (Zhong et al. 2020): a rectangle of a view is set to 0. */
import type { TensorSpec } from '../../protocol/tensors.ts';
import type { ImageShape } from '../contracts.ts';
import { blank, logUniform, type Part, uniform } from './part.ts';

/** 1 at the rows and columns of the rectangle; all 0 for a view that stays whole. */
const specsOf = ([height, width]: ImageShape, batch: number): Record<'rows' | 'columns', TensorSpec> => ({
  rows: { shape: [batch, height, 1, 1], dtype: 'float32' },
  columns: { shape: [batch, 1, width, 1], dtype: 'float32' },
});

export const erase: Part = {
  active: (spec) => spec.erase.probability > 0,
  specs: (_, shape, batch) => specsOf(shape, batch),
  draw: (rng, { erase: options }, shape, batch) => {
    const [height, width] = shape;
    const { rows, columns } = blank(specsOf(shape, batch));
    for (let b = 0; b < batch; b++) {
      if (rng.next() >= options.probability) continue;
      const area = uniform(rng, options.area) * height * width;
      const ratio = logUniform(rng, options.aspect);
      const tall = Math.max(1, Math.min(height, Math.round(Math.sqrt(area / ratio))));
      const wide = Math.max(1, Math.min(width, Math.round(Math.sqrt(area * ratio))));
      const top = rng.below(height - tall + 1);
      const left = rng.below(width - wide + 1);
      rows.data.fill(1, b * height + top, b * height + top + tall);
      columns.data.fill(1, b * width + left, b * width + left + wide);
    }
    return { rows, columns };
  },
  apply: ({ tf }, images, { rows, columns }) => tf.mul(images, tf.sub(1, tf.mul(rows!, columns!))),
};
