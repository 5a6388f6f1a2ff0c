/**
 * Normalisation over layers, batches and groups with the closed-form gradient
 * dx = γ·r·(dy − mean(dy) − x̂·mean(dy·x̂)), r = 1/√(var + ε), the mean over positions,
 * and the scaling of rows to unit length.
 */
import type { Tensor, Tensor4D } from '@tensorflow/tfjs';
import { withGradient } from './custom-gradient.ts';
import type { TensorFlow } from './ops.ts';

const EPSILON = 1e-5;

/** x: [n, d]; scale, offset: [d]; the moments run over `axis` of x. */
function normaliseMatrix(
  tf: TensorFlow,
  axis: 0 | 1,
  x: Tensor,
  scale: Tensor,
  offset: Tensor,
  epsilon: number,
): Tensor {
  const mean = (of: Tensor): Tensor => tf.mean(of, axis, true);
  return withGradient(tf, {
    inputs: { x, scale, offset },
    forward: (save) => {
      const centred = tf.sub(x, mean(x));
      const r = tf.rsqrt(tf.add(mean(tf.square(centred)), epsilon));
      const normalised = tf.mul(centred, r);
      save([normalised, r, scale]);
      return tf.add(tf.mul(normalised, scale), offset);
    },
    gradient: (dy, [normalised, r, gamma]) => ({
      x: () => {
        const g = tf.mul(dy, gamma!);
        const along = tf.mul(normalised!, mean(tf.mul(g, normalised!)));
        return tf.mul(tf.sub(tf.sub(g, mean(g)), along), r!);
      },
      scale: () => tf.sum(tf.mul(dy, normalised!), 0),
      offset: () => tf.sum(dy, 0),
    }),
  });
}

/** Each row of x: [n, d] by its own moments; scale, offset: [d]. Ba, Kiros & Hinton 2016. */
export const layerNorm = (tf: TensorFlow, x: Tensor, scale: Tensor, offset: Tensor, epsilon = EPSILON): Tensor =>
  normaliseMatrix(tf, 1, x, scale, offset, epsilon);

/** Each column of x: [n, d] by its moments over these n rows; scale, offset: [d]. Ioffe & Szegedy 2015. */
export const batchNorm = (tf: TensorFlow, x: Tensor, scale: Tensor, offset: Tensor, epsilon = EPSILON): Tensor =>
  normaliseMatrix(tf, 0, x, scale, offset, epsilon);

/** Mean over positions: [b, h, w, c] → [b, 1, 1, c]. Pooling does not transpose, as a reduction of inner axes does. */
const channelMean = (tf: TensorFlow, x: Tensor): Tensor =>
  tf.avgPool(x as Tensor4D, [x.shape[1]!, x.shape[2]!], 1, 'valid');

/** [b, 1, 1, c] → the mean over each group's channels, at every channel of the group. */
function groupMean(tf: TensorFlow, perChannel: Tensor, groups: number): Tensor {
  const channels = perChannel.shape[3]!;
  if (channels === groups) return perChannel;
  const mean = tf.mean(tf.reshape(perChannel, [-1, groups, channels / groups]), -1, true);
  return tf.reshape(tf.mul(mean, tf.ones([1, 1, channels / groups])), [-1, 1, 1, channels]);
}

/**
 * x: [b, h, w, c]; scale, offset: [c]; c divisible by `groups`. Wu & He 2018.
 * Both directions reduce to one mean per example and channel first; what is left is a product and a sum per pass.
 */
export function groupNorm(
  tf: TensorFlow,
  x: Tensor,
  scale: Tensor,
  offset: Tensor,
  groups: number,
  epsilon = EPSILON,
): Tensor {
  return withGradient(tf, {
    inputs: { x, scale, offset },
    forward: (save) => {
      const centred = tf.sub(x, groupMean(tf, channelMean(tf, x), groups));
      const variance = groupMean(tf, channelMean(tf, tf.square(centred)), groups);
      const r = tf.rsqrt(tf.add(variance, epsilon)); // [b, 1, 1, c]
      save([centred, r, scale]);
      return tf.add(tf.mul(centred, tf.mul(r, scale)), offset);
    },
    gradient: (dy, [centred, r, gamma]) => {
      const positions = dy.shape[1]! * dy.shape[2]!;
      const first = channelMean(tf, dy); // mean of dy, [b, 1, 1, c]
      const second = tf.mul(channelMean(tf, tf.mul(dy, centred!)), r!); // mean of dy·x̂
      const total = (perChannel: Tensor): Tensor => tf.sum(tf.mul(tf.squeeze(perChannel, [1, 2]), positions), 0);
      return {
        x: () => {
          const shift = tf.mul(groupMean(tf, tf.mul(first, gamma!), groups), r!);
          const slope = tf.mul(groupMean(tf, tf.mul(second, gamma!), groups), tf.square(r!));
          const direct = tf.mul(dy, tf.mul(r!, gamma!));
          return tf.sub(tf.sub(direct, tf.mul(centred!, slope)), shift);
        },
        scale: () => total(second),
        offset: () => total(first),
      };
    },
  });
}

/** [b, h, w, c] → [b, c] */
export function globalAveragePool(tf: TensorFlow, x: Tensor): Tensor {
  const [height, width] = [x.shape[1]!, x.shape[2]!];
  return withGradient(tf, {
    inputs: { x },
    forward: () => tf.squeeze(channelMean(tf, x), [1, 2]),
    gradient: (dy) => ({
      x: () => {
        const share = tf.reshape(tf.div(dy, height * width), [-1, 1, 1, dy.shape[1]!]);
        return tf.mul(share, tf.ones([1, height, width, 1]));
      },
    }),
  });
}

/** Rows of [n, d] divided by their length; max(‖x‖², 10⁻¹²) keeps a zero row finite. */
export function l2Normalise(tf: TensorFlow, x: Tensor): Tensor {
  return tf.div(x, tf.sqrt(tf.maximum(tf.sum(tf.square(x), -1, true), 1e-12)));
}
