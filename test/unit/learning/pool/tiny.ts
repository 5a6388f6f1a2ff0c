import type { SourceSpec } from '../../../../learning/data/source.ts';
import { modelOf } from '../../../../learning/model.ts';
import type { TrainInput } from '../../../../learning/pool/jobs/train.ts';
import { completePlan } from '../../../../learning/registry.ts';
import type { Plan } from '../../../../protocol/plan.ts';
import { stream } from '../../../../protocol/random.ts';
import { float32, type NamedArrays } from '../../../../protocol/tensors.ts';

/** 4×4 images, a few hundred parameters, three steps. */
export function tinyPlan(changes: Record<string, unknown> = {}, training: Record<string, unknown> = {}): Plan {
  return completePlan({
    version: 1,
    task: 'tiny',
    data: { shape: [4, 4, 1], minExamples: 4 },
    encoder: { name: 'mlp', hidden: [8], dim: 6 },
    pretext: { name: 'spectral', projector: { hidden: [8], dim: 5 } },
    augmentation: { name: 'image' },
    training: { steps: 3, batch: 8, optimiser: { name: 'adam', learningRate: 1e-2 }, ...training },
    rounds: { count: 4, cohort: 2 },
    privacy: { mode: 'sealed', clipNorm: 10 },
    ...changes,
  });
}

/** Images whose class is the bright quarter. */
export function tinyImages(count: number, seed = 1): Extract<SourceSpec, { kind: 'memory' }> {
  const rng = stream(seed, 'images');
  const groups = Array.from({ length: count }, (_, i) => i % 4);
  const data = new Float32Array(count * 16);
  for (let k = 0; k < data.length; k++) {
    const [row, column] = [Math.floor((k % 16) / 4), k % 4];
    const quarter = 2 * Math.floor(row / 2) + Math.floor(column / 2);
    data[k] = (quarter === groups[Math.floor(k / 16)] ? 0.6 : 0.1) + 0.3 * rng.next();
  }
  return { kind: 'memory', image: float32([count, 4, 4, 1], data), groups };
}

export const globalModel = (plan: Plan): NamedArrays => {
  const model = modelOf(plan);
  const initial = model.init(plan.seed);
  return Object.fromEntries(Object.keys(model.aggregated).map((name) => [name, initial[name]!]));
};

export const trainInput = (plan: Plan, changes: Partial<TrainInput> = {}): TrainInput => ({
  plan,
  model: globalModel(plan),
  source: tinyImages(20),
  seed: 'participant seed',
  participant: 'alice',
  round: 0,
  attempt: 0,
  ...changes,
});
