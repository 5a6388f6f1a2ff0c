/**
 * Encoder `resnet`: residual networks for small images (He et al. 2016), with a 3×3 stem without pooling and GroupNorm for BatchNorm.
 * Depth 8 has three stages of one block (28×28), depth 18 four stages of two (32×32); each stage after the first halves the
 * image and doubles the filters. Where a block changes the shape, its shortcut is a 1×1 convolution.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { TensorSpec } from '../../protocol/tensors.ts';
import type { Encoder } from '../contracts.ts';
import type { Tensors } from '../engine/engine.ts';
import { under, within } from '../names.ts';
import type { Ops } from '../ops/ops.ts';
import { checkReduction, convNorm, convNormManifest, groupsSchema } from './conv-norm.ts';
import { initialise } from './initialisation.ts';

/** Blocks of each stage. */
const STAGES = { 8: [1, 1, 1], 18: [2, 2, 2, 2] } as const;
/** Filters of the first stage. */
const WIDTH = { 8: 32, 18: 64 } as const;

const schema = z
  .strictObject({
    name: z.literal('resnet'),
    depth: z.union([z.literal(8), z.literal(18)]).default(8),
    /** Filters of the stem and the first stage, by default 32 at depth 8 and 64 at depth 18; each further stage doubles them. */
    width: z.int().min(1).max(512).optional(),
    groups: groupsSchema,
  })
  // the same order of keys whether they were given or not, so that completing a complete plan changes no byte
  .transform(({ name, depth, width, groups }) => ({ name, depth, width: width ?? WIDTH[depth], groups }))
  .refine((spec) => spec.width % spec.groups === 0, { path: ['groups'], message: 'must divide the width' });
type ResnetSpec = z.infer<typeof schema>;

interface Block {
  /** Prefix of its tensors. */
  readonly name: string;
  readonly stride: number;
  readonly channels: number;
  readonly filters: number;
}

function blocksOf({ depth, width }: ResnetSpec): Block[] {
  let channels = width;
  return STAGES[depth].flatMap((count, stage) =>
    Array.from({ length: count }, (_, i): Block => {
      const stride = stage > 0 && i === 0 ? 2 : 1;
      const block = { name: `stage${stage}/block${i}`, stride, channels, filters: width * 2 ** stage };
      channels = block.filters;
      return block;
    }),
  );
}

const reshapes = ({ stride, channels, filters }: Block): boolean => stride !== 1 || channels !== filters;

const blockManifest = (block: Block): Record<string, TensorSpec> => ({
  ...convNormManifest(0, 3, block.channels, block.filters),
  ...convNormManifest(1, 3, block.filters, block.filters),
  ...(reshapes(block) ? convNormManifest('Shortcut', 1, block.channels, block.filters) : {}),
});

/** x: [b, h, w, channels] → [b, ⌈h / stride⌉, ⌈w / stride⌉, filters] */
function applyBlock(nn: Ops, params: Tensors, x: Tensor, block: Block, groups: number): Tensor {
  const { stride } = block;
  const hidden = nn.relu(convNorm(nn, params, 0, x, { stride, groups }));
  const residual = convNorm(nn, params, 1, hidden, { stride: 1, groups });
  const shortcut = reshapes(block) ? convNorm(nn, params, 'Shortcut', x, { stride, groups }) : x;
  return nn.relu(nn.tf.add(shortcut, residual));
}

/** Nothing but the addition follows what these kernels feed, so they need not make up for a relu. */
const isLinear = (name: string): boolean => /\/conv(1|Shortcut)\/kernel$/.test(name);

export const resnet: Encoder<ResnetSpec> = {
  name: 'resnet',
  schema,
  dim: (spec) => blocksOf(spec).at(-1)!.filters,
  manifest: (spec, shape) => {
    const blocks = blocksOf(spec);
    checkReduction(
      shape,
      blocks.map(({ stride }) => stride),
      'encoder.depth',
    );
    return Object.assign(
      under('stem', convNormManifest(0, 3, shape[2], spec.width)),
      ...blocks.map((block) => under(block.name, blockManifest(block))),
    );
  },
  init: (rng, spec, shape) => initialise(rng, resnet.manifest(spec, shape), (name) => (isLinear(name) ? 1 : 2)),
  apply: (nn, params, x, spec) => {
    const { groups } = spec;
    let hidden = nn.relu(convNorm(nn, within('stem', params), 0, x, { stride: 1, groups }));
    for (const block of blocksOf(spec)) hidden = applyBlock(nn, within(block.name, params), hidden, block, groups);
    return nn.globalAveragePool(hidden);
  },
};
