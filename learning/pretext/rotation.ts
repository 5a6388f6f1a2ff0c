/**
 * Rotation: by how many quarter turns was the image rotated? (Gidaris et al. 2018). Each step sees each of its images at all four
 * angles, so every batch is balanced whatever a participant holds; L is the mean cross-entropy of the four classes.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import { TacitError } from '../../protocol/errors.ts';
import type { PretextContext, PretextTask } from '../contracts.ts';
import { type DenseStack, denseApply } from '../encoders/dense-stack.ts';
import type { Ops } from '../ops/ops.ts';
import { headGroup } from './projector.ts';

const TURNS = 4;

const schema = z.strictObject({
  name: z.literal('rotation'),
  /** Hidden layers of the classifier, with layer normalisation. */
  head: z.strictObject({ hidden: z.array(z.int().min(1).max(8192)).max(4).default([256]) }).prefault({}),
});
type RotationSpec = z.infer<typeof schema>;

const classifier = ({ spec, encoder, encoderSpec }: PretextContext<RotationSpec>): DenseStack => ({
  widths: [encoder.dim(encoderSpec), ...spec.head.hidden, TURNS],
  normalisation: 'layer',
});

/** [b, n, n, c] → [4·b, n, n, c]: the images as they are, then by one, two and three quarter turns counter-clockwise. */
export function allTurns({ tf }: Ops, images: Tensor): Tensor {
  const turn = (x: Tensor): Tensor => tf.reverse(tf.transpose(x, [0, 2, 1, 3]), 1);
  const once = turn(images);
  const twice = tf.reverse(images, [1, 2]);
  return tf.concat([images, once, twice, tf.reverse(once, [1, 2])], 0);
}

/** Scores [4·b, 4] of images in the order of `allTurns` → scalar. */
export function rotationLoss({ tf }: Ops, scores: Tensor): Tensor {
  const batch = scores.shape[0]! / TURNS;
  const truth = tf.reshape(tf.tile(tf.reshape(tf.eye(TURNS), [TURNS, 1, TURNS]), [1, batch, 1]), [-1, TURNS]);
  return tf.neg(tf.mean(tf.sum(tf.mul(truth, tf.logSoftmax(scores)), -1)));
}

export const rotation: PretextTask<RotationSpec> = {
  name: 'rotation',
  paper: 'Gidaris, Singh & Komodakis, ICLR 2018',
  schema,
  views: 1,
  // chance is log 4; a classifier that is sure and wrong costs a few times that
  lossRange: () => [0, 10],
  groups: (context) => {
    const [height, width] = context.shape;
    if (height !== width)
      throw new TacitError(
        'plan/refused',
        `pretext: rotation turns images, so they must be square, not ${height}×${width}`,
        {
          where: 'data.shape',
          hint: 'Use a square shape with data.resize "cover" or "contain", or another pretext task.',
        },
      );
    return [headGroup('classifier', classifier(context))];
  },
  loss: (nn, { params, views }, context) => {
    const turned = allTurns(nn, views[0]!);
    const embedded = context.encoder.apply(nn, params.encoder!, turned, context.encoderSpec);
    return rotationLoss(nn, denseApply(nn, params.classifier!, embedded, classifier(context)));
  },
};
