/**
 * Separable maps of images: rows · image · columns, one pair of matrices per image. Crop, resize, flip and blur are such maps,
 * and as matrix products they run on every engine.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { NamedSpecs } from '../../protocol/tensors.ts';
import type { ImageShape } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';

/** rows: [batch, h out, h in]; columns: [batch, w in, w out], the transposed map of the columns. */
export const separableSpecs = (
  [height, width]: ImageShape,
  batch: number,
): Readonly<Record<'rows' | 'columns', NamedSpecs[string]>> => ({
  rows: { shape: [batch, height, height], dtype: 'float32' },
  columns: { shape: [batch, width, width], dtype: 'float32' },
});

/** images: [batch, h, w, c] → the same shape */
export function applySeparable({ tf }: Ops, images: Tensor, rows: Tensor, columns: Tensor): Tensor {
  const [batch, height, width, channels] = images.shape as [number, number, number, number];
  const vertical = tf.matMul<Tensor>(rows, tf.reshape(images, [batch, height, width * channels]));
  if (channels === 1) return tf.reshape(tf.matMul<Tensor>(vertical, columns), images.shape);
  const lines = tf.transpose(tf.reshape(vertical, [batch, height, width, channels]), [0, 1, 3, 2]);
  const product = tf.matMul<Tensor>(tf.reshape(lines, [batch, height * channels, width]), columns);
  return tf.transpose(tf.reshape(product, [batch, height, channels, width]), [0, 1, 3, 2]);
}
