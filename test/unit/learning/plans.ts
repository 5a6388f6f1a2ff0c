/** Small complete plans for tests. */
import { completePlan } from '../../../learning/registry.ts';
import type { Plan } from '../../../protocol/plan.ts';

type Json = { readonly [key: string]: unknown };

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `changes` laid over `base`, key by key. */
export const merged = (base: Json, changes: Json): Json =>
  Object.fromEntries(
    [...new Set([...Object.keys(base), ...Object.keys(changes)])].map((key) => {
      const [old, change] = [base[key], changes[key]];
      return [key, isObject(old) && isObject(change) ? merged(old, change) : (change ?? old)];
    }),
  );

/** The smallest plan, as a person would write it: what it leaves out has a default. */
export const minimalPlan = {
  version: 1,
  task: 'test',
  data: { shape: [4, 4, 1] },
  encoder: { name: 'mlp' },
  pretext: { name: 'spectral' },
  augmentation: { name: 'image' },
  training: { steps: 2, batch: 3, optimiser: { name: 'adam', learningRate: 0.01 } },
  rounds: { count: 4, cohort: 2 },
  privacy: { mode: 'sealed', clipNorm: 10 },
} as const;

export const planOf = (changes: Json = {}): Plan => completePlan(merged(minimalPlan, changes));

/** Options under which a training step takes a millisecond. */
export const TINY = {
  mlp: { encoder: { name: 'mlp', hidden: [6], dim: 4 } },
  conv: { encoder: { name: 'conv', filters: [4, 6], strides: [1, 2], groups: 2 } },
  spectral: { pretext: { name: 'spectral', projector: { hidden: [5], dim: 3 } } },
  simclr: { pretext: { name: 'simclr', projector: { hidden: [5], dim: 3 } } },
  resnet: { encoder: { name: 'resnet', width: 2, groups: 1 } },
  vit: { encoder: { name: 'vit', patch: 2, dim: 6, depth: 1, heads: 2 } },
  vicreg: { pretext: { name: 'vicreg', projector: { hidden: [5], dim: 3 } } },
  'barlow-twins': { pretext: { name: 'barlow-twins', projector: { hidden: [5], dim: 3 } } },
  moco: { pretext: { name: 'moco', queue: 8, projector: { hidden: [5], dim: 3 } } },
  byol: { pretext: { name: 'byol', projector: { hidden: [12], dim: 3 }, predictor: { hidden: [12] } } },
  simsiam: { pretext: { name: 'simsiam', projector: { hidden: [12], dim: 3 }, predictor: { hidden: [12] } } },
  swav: { pretext: { name: 'swav', prototypes: 4, projector: { hidden: [5], dim: 3 } } },
  rotation: { pretext: { name: 'rotation', head: { hidden: [5] } } },
  mae: { pretext: { name: 'mae', patch: 2, decoder: { hidden: [5] } } },
} as const;
