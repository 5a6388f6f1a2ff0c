/**
 * What programs are written against: tfjs and a few composites that have a gradient of their own.
 * Composites are fields of the object, so that an engine may put its own lowering in their place (`makeOps(tf, overrides)`).
 * Inside a program nothing reads a value, no shape depends on a value, and every random number is an input.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { gelu, relu } from './activation.ts';
import { conv2d } from './convolution.ts';
import { gram, matMul } from './mat-mul.ts';
import { batchNorm, globalAveragePool, groupNorm, l2Normalise, layerNorm } from './normalisation.ts';
import { stopGradient } from './stop-gradient.ts';

/** The tfjs module; its types only, except in an engine. */
export type TensorFlow = typeof import('@tensorflow/tfjs');

export interface Convolution {
  /** The same in both directions. */
  readonly stride: number;
  /** As in TensorFlow: `same` gives ⌈size / stride⌉ with the odd row of zeros at the bottom and right, `valid` pads nothing. */
  readonly padding: 'same' | 'valid';
}

/** Operations with a closed-form gradient; an engine may replace each. */
export interface Composites {
  /** [m, k] · [k, n] → [m, n]; its gradient transposes explicitly, since tfjs-wasm's transposing product is slow. */
  matMul(a: Tensor, b: Tensor): Tensor;
  /** xᵀ·x: [n, d] → [d, d], the products of all columns with each other. */
  gram(x: Tensor): Tensor;
  /** [m, k] · [k, n] + [n] → [m, n] */
  dense(x: Tensor, kernel: Tensor, bias?: Tensor): Tensor;
  /** [b, h, w, c] ⋆ [kh, kw, c, f] → [b, h′, w′, f] */
  conv2d(x: Tensor, kernel: Tensor, options: Convolution): Tensor;
  /** Over the last axis of [n, d], then scale and offset [d]. */
  layerNorm(x: Tensor, scale: Tensor, offset: Tensor, epsilon?: number): Tensor;
  /** Over the rows of [n, d], the batch's own statistics and no others; then scale and offset [d]. For heads only. */
  batchNorm(x: Tensor, scale: Tensor, offset: Tensor, epsilon?: number): Tensor;
  /** [b, h, w, c]: over positions and the channels of a group of each example; scale and offset [c]. Wu & He 2018. */
  groupNorm(x: Tensor, scale: Tensor, offset: Tensor, groups: number, epsilon?: number): Tensor;
  /** [b, h, w, c] → [b, c] */
  globalAveragePool(x: Tensor): Tensor;
  /** max(x, 0); the gradient at 0 is 0. */
  relu(x: Tensor): Tensor;
  /** x · Φ(x), exactly (erf). */
  gelu(x: Tensor): Tensor;
  /** Rows of [n, d] scaled to length 1; a row of zeros stays zero and its gradient finite. */
  l2Normalise(x: Tensor): Tensor;
  /** x, through which no gradient flows: what comes before it is a constant to whatever comes after. */
  stopGradient(x: Tensor): Tensor;
}

export interface Ops extends Composites {
  readonly tf: TensorFlow;
}

/** The operations of an engine: tfjs with the composites of this folder, or the engine's own in their place. */
export function makeOps(tf: TensorFlow, overrides: Partial<Composites> = {}): Ops {
  const nn: Ops = {
    tf,
    matMul: (a, b) => matMul(tf, a, b),
    gram: (x) => gram(tf, x),
    dense: (x, kernel, bias) => {
      const product = nn.matMul(x, kernel);
      return bias ? tf.add(product, bias) : product;
    },
    conv2d: (x, kernel, options) => conv2d(tf, x, kernel, options),
    layerNorm: (x, scale, offset, epsilon) => layerNorm(tf, x, scale, offset, epsilon),
    batchNorm: (x, scale, offset, epsilon) => batchNorm(tf, x, scale, offset, epsilon),
    groupNorm: (x, scale, offset, groups, epsilon) => groupNorm(tf, x, scale, offset, groups, epsilon),
    globalAveragePool: (x) => globalAveragePool(tf, x),
    relu: (x) => relu(tf, x),
    gelu: (x) => gelu(tf, x),
    l2Normalise: (x) => l2Normalise(tf, x),
    stopGradient: (x) => stopGradient(tf, x),
    ...overrides,
  };
  return nn;
}
