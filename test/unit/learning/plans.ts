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
} as const;
