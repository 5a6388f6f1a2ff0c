/**
 * An operation with a gradient of its own, computed per input and only for the inputs that need one.
 * `tf.customGrad` computes the gradients of all inputs each time, also that of a first layer's images; tfjs's engine can do
 * without, through a method that its types keep private (tfjs is pinned to one version; test/unit/learning/ops holds this).
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { Tensors } from '../engine/engine.ts';
import type { TensorFlow } from './ops.ts';

export interface WithGradient<Name extends string> {
  readonly inputs: Readonly<Record<Name, Tensor>>;
  /** What `save` is given stays until the gradient is taken. */
  forward(save: (tensors: Tensor[]) => void): Tensor;
  gradient(dy: Tensor, saved: readonly Tensor[]): Readonly<Record<Name, () => Tensor>>;
}

interface KernelRunner {
  runKernelFunc(call: {
    inputs: Tensors;
    forwardFunc: (backend: unknown, save: (tensors: Tensor[]) => void) => Tensor;
    backwardsFunc: (dy: Tensor, saved: Tensor[]) => Readonly<Record<string, () => Tensor>>;
  }): Tensor;
}

/** Runs `forward` outside of the tape and records `gradient` for it. */
export function withGradient<Name extends string>(tf: TensorFlow, op: WithGradient<Name>): Tensor {
  const engine = tf.engine() as unknown as KernelRunner;
  return engine.runKernelFunc({
    inputs: op.inputs,
    forwardFunc: (_, save) => op.forward(save),
    backwardsFunc: (dy, saved) => op.gradient(dy, saved),
  });
}
