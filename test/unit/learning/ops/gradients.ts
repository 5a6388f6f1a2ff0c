/** Value and gradients of an operation on a backend, as arrays. */
import type { Tensor } from '@tensorflow/tfjs';
import { activate, type Backend, loadBackend } from '../../../../learning/engine/eager-backend.ts';
import { probeTensorFlow } from '../../../../learning/engine/eager-tensorflow.ts';
import type { Ops } from '../../../../learning/ops/ops.ts';
import type { NDArray } from '../../../../protocol/tensors.ts';

/** Backends that every machine has, and the native library where it is installed. */
export const BACKENDS: readonly Backend[] = [
  'cpu',
  'wasm',
  ...((await probeTensorFlow()).available ? (['tensorflow'] as const) : []),
];

export interface Differentiated {
  readonly value: Float32Array;
  readonly shape: readonly number[];
  readonly gradients: readonly Float32Array[];
}

/** f(inputs), and the gradient of Σ f·cotangent with respect to each input. */
export async function differentiate(
  backend: Backend,
  inputs: readonly NDArray[],
  cotangent: NDArray | undefined,
  f: (nn: Ops, tensors: Tensor[]) => Tensor,
): Promise<Differentiated> {
  const nn = await loadBackend(backend, {});
  const { tf } = nn;
  activate(tf, backend);
  return tf.tidy(() => {
    const tensors = inputs.map(({ data, shape }) => tf.tensor(data, [...shape]));
    const y = f(nn, tensors);
    const weights = cotangent ? tf.tensor(cotangent.data, [...cotangent.shape]) : tf.onesLike(y);
    const gradients = tf.grads((...xs: Tensor[]) => tf.sum(tf.mul(f(nn, xs), weights)))(tensors);
    return {
      value: Float32Array.from(y.dataSync()),
      shape: y.shape,
      gradients: gradients.map((g) => Float32Array.from(g.dataSync())),
    };
  });
}
