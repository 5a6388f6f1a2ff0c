/**
 * Encoder `vit`: a small vision transformer (Dosovitskiy et al. 2021). Patches with learned positions pass through blocks of attention
 * and a two-layer network, each normalised first (pre-norm) and added to what came in; the embedding is the mean over the patches.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import { float32, sizeOf, type TensorSpec } from '../../protocol/tensors.ts';
import type { Encoder, ImageShape } from '../contracts.ts';
import type { Tensors } from '../engine/engine.ts';
import { under, within } from '../names.ts';
import type { Ops } from '../ops/ops.ts';
import { patchGrid, toPatches } from '../patches.ts';
import { initialise } from './initialisation.ts';

const POSITION_DEVIATION = 0.02;

const schema = z
  .strictObject({
    name: z.literal('vit'),
    /** Side of a patch in pixels; must divide height and width. */
    patch: z.int().min(1).max(256).default(4),
    /** Length of a patch's vector, and of the embedding. */
    dim: z.int().min(1).max(4096).default(96),
    depth: z.int().min(1).max(48).default(4),
    /** Heads of attention; must divide `dim`. */
    heads: z.int().min(1).max(64).default(4),
    /** Width of a block's hidden layer, in multiples of `dim`. */
    expansion: z.int().min(1).max(8).default(2),
  })
  .refine((spec) => spec.dim % spec.heads === 0, { path: ['heads'], message: 'must divide `dim`' });
type VitSpec = z.infer<typeof schema>;

const tensor = (...shape: number[]): TensorSpec => ({ shape, dtype: 'float32' });
const norm = (name: string, dim: number): Record<string, TensorSpec> => ({
  [`${name}/scale`]: tensor(dim),
  [`${name}/offset`]: tensor(dim),
});
const layer = (name: string, input: number, output: number): Record<string, TensorSpec> => ({
  [`${name}/kernel`]: tensor(input, output),
  [`${name}/bias`]: tensor(output),
});

const blockManifest = ({ dim, expansion }: VitSpec): Record<string, TensorSpec> => ({
  ...norm('norm0', dim),
  ...layer('attention', dim, 3 * dim), // queries, keys, values
  ...layer('mixed', dim, dim),
  ...norm('norm1', dim),
  ...layer('expand', dim, expansion * dim),
  ...layer('contract', expansion * dim, dim),
});

const tokensOf = (spec: VitSpec, shape: ImageShape): number => {
  const [rows, columns] = patchGrid(shape, spec.patch, 'encoder.patch');
  return rows * columns;
};

const dense = (nn: Ops, params: Tensors, name: string, x: Tensor): Tensor =>
  nn.dense(x, params[`${name}/kernel`]!, params[`${name}/bias`]!);
const normalise = (nn: Ops, params: Tensors, name: string, x: Tensor): Tensor =>
  nn.layerNorm(x, params[`${name}/scale`]!, params[`${name}/offset`]!);

/** x: [b·tokens, dim] → the same: every token gathers from all tokens of its image, in each head by softmax(q·kᵀ/√d). */
function attention(nn: Ops, params: Tensors, x: Tensor, { dim, heads }: VitSpec, tokens: number): Tensor {
  const { tf } = nn;
  const size = dim / heads;
  const all = dense(nn, params, 'attention', x);
  const [queries, keys, values] = [0, 1, 2].map((i) => {
    const own = tf.slice(all, [0, i * dim], [-1, dim]);
    return tf.transpose(tf.reshape(own, [-1, tokens, heads, size]), [0, 2, 1, 3]); // [b, heads, tokens, size]
  });
  const logits = tf.mul(tf.matMul<Tensor>(queries!, keys!, false, true), 1 / Math.sqrt(size));
  const gathered = tf.matMul<Tensor>(tf.softmax(logits), values!);
  return dense(nn, params, 'mixed', tf.reshape(tf.transpose(gathered, [0, 2, 1, 3]), [-1, dim]));
}

function block(nn: Ops, params: Tensors, x: Tensor, spec: VitSpec, tokens: number): Tensor {
  const { tf } = nn;
  const attended = tf.add(x, attention(nn, params, normalise(nn, params, 'norm0', x), spec, tokens));
  const hidden = nn.gelu(dense(nn, params, 'expand', normalise(nn, params, 'norm1', attended)));
  return tf.add(attended, dense(nn, params, 'contract', hidden));
}

export const vit: Encoder<VitSpec> = {
  name: 'vit',
  schema,
  dim: (spec) => spec.dim,
  manifest: (spec, shape) => ({
    ...layer('patches', spec.patch * spec.patch * shape[2], spec.dim),
    ...Object.assign({}, ...Array.from({ length: spec.depth }, (_, i) => under(`block${i}`, blockManifest(spec)))),
    ...norm('norm', spec.dim),
    positions: tensor(tokensOf(spec, shape), spec.dim),
  }),
  init: (rng, spec, shape) => {
    const { positions, ...others } = vit.manifest(spec, shape);
    const values = Float32Array.from({ length: sizeOf(positions!.shape) }, () => POSITION_DEVIATION * rng.normal());
    const rest = initialise(rng, others, (name) => (name.endsWith('contract/kernel') ? 2 : 1));
    return { ...rest, positions: float32(positions!.shape, values) };
  },
  apply: (nn, params, x, spec) => {
    const { tf } = nn;
    const tokens = tokensOf(spec, x.shape.slice(1) as unknown as ImageShape);
    const patches = tf.reshape(toPatches(nn, x, spec.patch), [-1, spec.patch * spec.patch * x.shape[3]!]);
    const placed = tf.add(tf.reshape(dense(nn, params, 'patches', patches), [-1, tokens, spec.dim]), params.positions!);
    let hidden: Tensor = tf.reshape(placed, [-1, spec.dim]);
    for (let i = 0; i < spec.depth; i++) hidden = block(nn, within(`block${i}`, params), hidden, spec, tokens);
    return tf.mean(tf.reshape(normalise(nn, params, 'norm', hidden), [-1, tokens, spec.dim]), 1);
  },
};
