/** The composites of learning/ops as the compiled engine wants them: whole operations instead of their tfjs spelling. */
import * as tf from '@tensorflow/tfjs';
import { withGradient } from '../../ops/custom-gradient.ts';
import { type Composites, makeOps, type Ops } from '../../ops/ops.ts';
import { GROUP_NORM, GROUP_NORM_GRAD, LAYER_NORM, LAYER_NORM_GRAD } from './kernels/composite.ts';

type Tensor = tf.Tensor;

const EPSILON = 1e-5;

function groupNorm(x: Tensor, scale: Tensor, offset: Tensor, groups: number, epsilon = EPSILON): Tensor {
  const engine = tf.engine();
  return withGradient(tf, {
    inputs: { x, scale, offset },
    forward: (save) => {
      const [y, mean, inverse] = engine.runKernel(GROUP_NORM, { x, scale, offset }, { groups, epsilon }) as Tensor[];
      save([x, mean!, inverse!, scale]);
      return y!;
    },
    // One node in the end: the three calls are equal, and equal nodes are shared.
    gradient: (dy, [saved, mean, inverse, gamma]) => {
      const inputs = { dy, x: saved!, mean: mean!, inverse: inverse!, scale: gamma! };
      const output = (i: number) => (): Tensor =>
        (engine.runKernel(GROUP_NORM_GRAD, inputs, { groups }) as Tensor[])[i]!;
      return { x: output(0), scale: output(1), offset: output(2) };
    },
  });
}

/** x: [n, d]. One operator forward; backward as few passes as its kernel takes. */
function layerNorm(x: Tensor, scale: Tensor, offset: Tensor, epsilon = EPSILON): Tensor {
  return withGradient(tf, {
    inputs: { x, scale, offset },
    forward: (save) => {
      const [y, mean, r] = tf.engine().runKernel(LAYER_NORM, { x, scale, offset }, { epsilon }) as Tensor[];
      save([x, mean!, r!, scale]);
      return y!;
    },
    gradient: (dy, [saved, mean, inverse, gamma]) => {
      const inputs = { dy, x: saved!, mean: mean!, inverse: inverse!, scale: gamma! };
      const output = (i: number) => (): Tensor => (tf.engine().runKernel(LAYER_NORM_GRAD, inputs) as Tensor[])[i]!;
      return { x: output(0), scale: output(1), offset: output(2) };
    },
  });
}

const composites: Partial<Composites> = {
  layerNorm,
  groupNorm,
  globalAveragePool: (x) => tf.mean(x, [1, 2]),
  conv2d: (x, kernel, { stride, padding }) => tf.conv2d(x as tf.Tensor4D, kernel as tf.Tensor4D, stride, padding),
};

/** What a program is handed while it is traced. */
export const traceOps = (): Ops => makeOps(tf, composites);
