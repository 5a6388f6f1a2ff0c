/**
 * MoCo v2: a view must be closer to its partner, seen by a slow copy of the network, than to a queue of earlier images
 * (He et al. 2020, Chen et al. 2020). L = mean −log( e^{q·k⁺/τ} / (e^{q·k⁺/τ} + Σ_queue e^{q·k/τ}) ), both views as queries.
 * Heads here normalise over layers, so nothing leaks through batch statistics and no shuffling is needed. In federation the slow
 * copy starts each round as the new global network, and the queue stays with its participant.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { Rng } from '../../protocol/random.ts';
import { float32, type NDArray } from '../../protocol/tensors.ts';
import type { Group, LossInputs, PretextContext, PretextTask } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';
import { projectViews, splitViews } from './embed-views.ts';
import { followOnline, slowGroups } from './momentum.ts';
import { projectorGroup, projectorSchema, projectorStack } from './projector.ts';

const KEY = ['key-encoder', 'key-projector'] as const;

const schema = z.strictObject({
  name: z.literal('moco'),
  /** τ; at least 0.05, so that e^(−2/τ) does not vanish in float32. */
  temperature: z.number().min(0.05).default(0.2),
  /** Of the slow copy's moving average. */
  momentum: z.number().min(0).max(1).default(0.99),
  /** Keys of earlier images that are kept as negatives. */
  queue: z.int().min(1).max(65_536).default(1024),
  projector: projectorSchema,
});
type MocoSpec = z.infer<typeof schema>;

/** Random directions, as nothing has been seen yet. */
function randomKeys(rng: Rng, rows: number, dim: number): NDArray {
  const data = Float32Array.from({ length: rows * dim }, () => rng.normal());
  for (let i = 0; i < rows; i++) {
    const row = data.subarray(i * dim, (i + 1) * dim);
    const length = Math.hypot(...row);
    for (let j = 0; j < dim; j++) row[j]! /= length;
  }
  return float32([rows, dim], data);
}

const queueGroup = ({ queue, projector: { dim } }: MocoSpec): Group => ({
  name: 'queue',
  manifest: { keys: { shape: [queue, dim], dtype: 'float32' } },
  init: (rng) => ({ keys: randomKeys(rng, queue, dim) }),
  trainable: false,
  aggregate: false,
  writeBack: 'local',
  persist: true,
});

/** Queries and keys of both views, [2·batch, d] each, the second view's rows last, and a queue of unit rows [n, d] → scalar. */
export function mocoLoss(nn: Ops, queries: Tensor, keys: Tensor, queue: Tensor, temperature: number): Tensor {
  const { tf } = nn;
  const unit = nn.l2Normalise(queries);
  const [first, second] = splitViews(nn, nn.l2Normalise(nn.stopGradient(keys)), 2) as [Tensor, Tensor];
  // every logit is at most 1/τ: subtracting it from all keeps the exponentials in (0, 1]
  const logit = (cosine: Tensor): Tensor => tf.div(tf.sub(cosine, 1), temperature);
  const positive = logit(tf.sum(tf.mul(unit, tf.concat([second, first], 0)), -1)); // [2B]
  const negatives = logit(nn.matMul(unit, tf.transpose(queue))); // [2B, n]
  const partition = tf.log(tf.add(tf.exp(positive), tf.sum(tf.exp(negatives), -1)));
  return tf.mean(tf.sub(partition, positive));
}

const keysOf = (nn: Ops, inputs: LossInputs, context: PretextContext<MocoSpec>): Tensor =>
  projectViews(nn, inputs, context, KEY);

export const moco: PretextTask<MocoSpec> = {
  name: 'moco',
  paper: 'He et al., CVPR 2020; version 2: Chen et al., 2020 (arXiv 2003.04297)',
  schema,
  views: 2,
  lossRange: ({ spec }) => [0, 2 / spec.temperature + Math.log(spec.queue + 1)],
  groups: (context) => {
    const projector = projectorGroup(projectorStack(context.spec.projector, context));
    return [projector, ...slowGroups(KEY, context, projector, false), queueGroup(context.spec)];
  },
  scalars: ({ spec }) => ({ momentum: spec.momentum }),
  loss: (nn, inputs, context) => {
    const queries = projectViews(nn, inputs, context);
    return mocoLoss(nn, queries, keysOf(nn, inputs, context), inputs.params.queue!.keys!, context.spec.temperature);
  },
  // the keys are computed as in the loss; in a compiled step equal nodes are one
  afterStep: (nn, inputs, context) => {
    const { params, scalars } = inputs;
    const keys = nn.l2Normalise(keysOf(nn, inputs, context));
    const newest = nn.tf.slice(nn.tf.concat([keys, params.queue!.keys!], 0), [0, 0], [context.spec.queue, -1]);
    return { ...followOnline(nn, params, KEY, scalars.momentum!), queue: { keys: newest } };
  },
};
