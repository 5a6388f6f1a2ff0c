/** Images as sequences of square patches, row by row: what `vit` reads and `mae` hides. */
import type { Tensor } from '@tensorflow/tfjs';
import { TacitError } from '../protocol/errors.ts';
import type { ImageShape } from './contracts.ts';
import type { Ops } from './ops/ops.ts';

/** @returns rows and columns of patches @throws TacitError plan/refused if the image is not made of whole patches */
export function patchGrid([height, width]: ImageShape, patch: number, where: string): readonly [number, number] {
  if (height % patch === 0 && width % patch === 0) return [height / patch, width / patch];
  throw new TacitError(
    'plan/refused',
    `an image of ${height}×${width} is not made of whole patches of ${patch}×${patch}`,
    {
      where,
      hint: 'Use a patch size that divides height and width.',
    },
  );
}

/** [b, h, w, c] → [b, patches, patch·patch·c] */
export function toPatches({ tf }: Ops, images: Tensor, patch: number): Tensor {
  const [, height, width, channels] = images.shape as [number, number, number, number];
  const [rows, columns, line] = [height / patch, width / patch, patch * channels];
  const split = tf.transpose(tf.reshape(images, [-1, patch, columns, line]), [0, 2, 1, 3]); // [b·rows, columns, patch, line]
  return tf.reshape(split, [-1, rows * columns, patch * line]);
}

/** [b, patches, patch·patch·c] → [b, h, w, c] */
export function fromPatches(
  { tf }: Ops,
  patches: Tensor,
  patch: number,
  [height, width, channels]: ImageShape,
): Tensor {
  const [columns, line] = [width / patch, patch * channels];
  const joined = tf.transpose(tf.reshape(patches, [-1, columns, patch, line]), [0, 2, 1, 3]); // [b·rows, patch, columns, line]
  return tf.reshape(joined, [-1, height, width, channels]);
}
