/** A small, complete plan for the tests of the participant. */
import { completePlan } from '../../../learning/registry.ts';
import type { Plan } from '../../../protocol/plan.ts';

type Json = Record<string, unknown>;

const SMALL: Json = {
  version: 1,
  task: 'digits-test',
  seed: 1,
  data: { shape: [8, 8, 1] },
  encoder: { name: 'mlp' },
  pretext: { name: 'spectral' },
  augmentation: { name: 'image' },
  training: { steps: 2, batch: 8, optimiser: { name: 'sgd', learningRate: 0.1 } },
  rounds: { count: 3, cohort: 3, minReports: 2 },
  privacy: { mode: 'sealed', clipNorm: 1 },
};

/** The small plan with some of its parts replaced, one level deep. */
export function smallPlan(changes: Record<string, Json | string> = {}): Plan {
  const merged = { ...SMALL };
  for (const [key, value] of Object.entries(changes)) {
    merged[key] = typeof value === 'string' ? value : { ...(SMALL[key] as Json | undefined), ...value };
  }
  return completePlan(merged);
}
