/**
 * Dense layers with an optional normalisation (over the layer, in heads also over the batch) and a relu between them; the last layer is linear.
 * Shared by the encoder `mlp` and by projection heads. A normalised layer needs no bias: the normalisation has an offset.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { Rng } from '../../protocol/random.ts';
import type { NamedArrays, TensorSpec } from '../../protocol/tensors.ts';
import type { Manifest } from '../contracts.ts';
import type { Tensors } from '../engine/engine.ts';
import type { Ops } from '../ops/ops.ts';
import { initialise } from './initialisation.ts';

export interface DenseStack {
  /** Width of the input, of each hidden layer, and of the output. */
  readonly widths: readonly number[];
  /** Between a hidden layer's product and its relu. */
  readonly normalisation: 'layer' | 'batch' | 'none';
}

const vector = (length: number): TensorSpec => ({ shape: [length], dtype: 'float32' });
const lastOf = ({ widths }: DenseStack): number => widths.length - 2;

export function denseManifest(stack: DenseStack): Manifest {
  const manifest: Record<string, TensorSpec> = {};
  const last = lastOf(stack);
  for (let i = 0; i <= last; i++) {
    const [input, output] = [stack.widths[i]!, stack.widths[i + 1]!];
    manifest[`dense${i}/kernel`] = { shape: [input, output], dtype: 'float32' };
    if (i < last && stack.normalisation !== 'none') {
      manifest[`norm${i}/scale`] = vector(output);
      manifest[`norm${i}/offset`] = vector(output);
    } else manifest[`dense${i}/bias`] = vector(output);
  }
  return manifest;
}

export function denseInit(rng: Rng, stack: DenseStack): NamedArrays {
  const last = `dense${lastOf(stack)}/kernel`;
  return initialise(rng, denseManifest(stack), (name) => (name === last ? 1 : 2));
}

/** x: [n, widths[0]] → [n, last width] */
export function denseApply(nn: Ops, params: Tensors, x: Tensor, stack: DenseStack): Tensor {
  const last = lastOf(stack);
  let hidden = x;
  for (let i = 0; i < last; i++) {
    hidden = nn.dense(hidden, params[`dense${i}/kernel`]!, params[`dense${i}/bias`]);
    const scale = params[`norm${i}/scale`];
    const normalise = stack.normalisation === 'batch' ? nn.batchNorm : nn.layerNorm;
    if (scale) hidden = normalise(hidden, scale, params[`norm${i}/offset`]!);
    hidden = nn.relu(hidden);
  }
  return nn.dense(hidden, params[`dense${last}/kernel`]!, params[`dense${last}/bias`]);
}
