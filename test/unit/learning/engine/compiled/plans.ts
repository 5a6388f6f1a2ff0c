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
} as const;
/** Each with a learning rate at which 50 steps stay where the loss is smooth: a diverging run magnifies rounding. */
const PRETEXTS = { spectral: 1e-3, simclr: 1e-2, vicreg: 1e-4 } as const;

/** Every pretext task with the cheapest encoder, and every encoder. */
export const CASES: readonly Case[] = [
  ...(Object.keys(PRETEXTS) as Case['pretext'][]).map((pretext) => ({ encoder: 'mlp', pretext }) as const),
  { encoder: 'conv', pretext: 'spectral' },
  { encoder: 'conv', pretext: 'simclr' },
  { encoder: 'resnet', pretext: 'vicreg' },
];

export interface Case {
  readonly encoder: keyof typeof ENCODERS;
  readonly pretext: keyof typeof PRETEXTS;
  readonly optimiser?: object;
}

export function planOf({ encoder, pretext, optimiser }: Case): Plan {
  return completePlan({
    version: 1,
    task: `${encoder}-${pretext}`,
    data: { shape: [7, 6, 1], normalisation: { mean: [0.3], std: [0.4] } },
    encoder: ENCODERS[encoder],
    pretext: { name: pretext, projector: { hidden: [24], dim: 12 } },
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
