/** Small plans of each encoder and pretext task, with data, for comparing engines. */
import { completePlan } from '../../../../../learning/registry.ts';
import { drawStep, scalarsAt } from '../../../../../learning/train-step.ts';
import type { Plan } from '../../../../../protocol/plan.ts';
import { stream } from '../../../../../protocol/random.ts';
import { float32, type NamedArrays, sizeOf } from '../../../../../protocol/tensors.ts';

const ENCODERS = {
  mlp: { name: 'mlp', hidden: [32], dim: 16 },
  conv: { name: 'conv', filters: [8, 8], strides: [1, 2], groups: 2 },
  resnet: { name: 'resnet', depth: 8, width: 2, groups: 1 },
  vit: { name: 'vit', patch: 2, dim: 8, depth: 1, heads: 2 },
} as const;
/** Each with a learning rate at which 50 steps stay where the loss is smooth: a diverging run magnifies rounding. */
const PRETEXTS = {
  spectral: 1e-3,
  simclr: 1e-2,
  moco: 1e-2,
  vicreg: 1e-4,
  'barlow-twins': 1e-4,
  byol: 1e-3,
  simsiam: 1e-3,
  swav: 1e-3,
  rotation: 1e-2,
  mae: 1e-2,
} as const;

const heads = { projector: { hidden: [24], dim: 12 } };
const predictor = { hidden: [10] };
/** Options that keep a task small. */
const OPTIONS: Partial<Record<keyof typeof PRETEXTS, object>> = {
  moco: { ...heads, queue: 20 },
  'barlow-twins': { projector: { hidden: [24], dim: 4 } }, // six rows, and no coordinate that hardly varies over them
  byol: { ...heads, predictor },
  simsiam: { ...heads, predictor },
  swav: { ...heads, prototypes: 5 },
  rotation: { head: { hidden: [24] } },
  mae: { patch: 2, decoder: { hidden: [24] } },
};

/** Every pretext task with the cheapest encoder, and every encoder. */
export const CASES: readonly Case[] = [
  ...(Object.keys(PRETEXTS) as Case['pretext'][]).map((pretext) => ({ encoder: 'mlp', pretext }) as const),
  { encoder: 'conv', pretext: 'spectral' },
  { encoder: 'conv', pretext: 'simclr' },
  { encoder: 'conv', pretext: 'mae' },
  { encoder: 'resnet', pretext: 'vicreg' },
  { encoder: 'vit', pretext: 'simclr', optimiser: { name: 'sgd', learningRate: 1e-3, momentum: 0.9 } },
  { encoder: 'vit', pretext: 'mae' },
];

/** Of images that cannot have any shape: those that are turned, and those that are cut into patches. */
const SHAPES: Partial<Record<keyof typeof PRETEXTS, [number, number, number]>> = {
  rotation: [6, 6, 1],
  mae: [6, 8, 1],
};

export interface Case {
  readonly encoder: keyof typeof ENCODERS;
  readonly pretext: keyof typeof PRETEXTS;
  readonly optimiser?: object;
}

export function planOf({ encoder, pretext, optimiser }: Case): Plan {
  return completePlan({
    version: 1,
    task: `${encoder}-${pretext}`,
    data: {
      shape: SHAPES[pretext] ?? (encoder === 'vit' ? [6, 8, 1] : [7, 6, 1]),
      normalisation: { mean: [0.3], std: [0.4] },
    },
    encoder: ENCODERS[encoder],
    pretext: { name: pretext, ...(OPTIONS[pretext] ?? heads) },
    augmentation: { name: 'image' },
    training: {
      steps: 1,
      batch: 4,
      optimiser: optimiser ?? { name: 'sgd', learningRate: PRETEXTS[pretext], momentum: 0.9 },
    },
    rounds: { count: 1, cohort: 2 },
    privacy: { mode: 'sealed', clipNorm: 1 },
  });
}

/** Everything that a step is fed: images, draws and schedules of one step. */
export function feedsOf(plan: Plan, seed: number): NamedArrays {
  const rng = stream(seed, 'images');
  const shape = [plan.training.batch, ...plan.data.shape];
  const pixels = Float32Array.from({ length: sizeOf(shape) }, () => rng.next());
  return {
    'batch/images': float32(shape, pixels),
    ...drawStep(plan, stream(seed, 'draws')),
    ...scalarsAt(plan, 0),
  };
}
