import { describe, expect, it } from 'vitest';
import { averagedPlan } from '../../../simulations/averaged-row.ts';
import { samplesSeen } from '../../../simulations/rows.ts';
import { tinyPlan } from '../learning/pool/tiny.ts';

describe('the plan of plain averaging', () => {
  const shared = tinyPlan(
    {
      strategy: { name: 'shared-statistics' },
      rounds: { count: 200, cohort: 10, overSelection: 1 },
      privacy: { mode: 'secagg', clipNorm: 50, weights: 'examples', maxExamples: 400 },
    },
    { steps: 1, schedule: { name: 'cosine', warmupRounds: 80 } },
  );
  const averaged = averagedPlan(shared);

  it('sees as many samples, with the same model, data and weights', () => {
    expect(samplesSeen(averaged)).toBe(samplesSeen(shared));
    for (const key of ['encoder', 'pretext', 'augmentation', 'data', 'evaluation', 'seed'] as const) {
      expect(averaged[key]).toEqual(shared[key]);
    }
    expect(averaged.privacy).toMatchObject({ clipNorm: 50, weights: 'examples', maxExamples: 400 });
  });

  it('averages weights after several local steps, whatever the privacy mode', () => {
    expect(averaged.strategy).toMatchObject({ name: 'fedavg' });
    expect(averaged.training.steps).toBeGreaterThan(1);
    expect(averaged.privacy.mode).toBe('sealed');
  });

  it('warms up over the same part of its rounds', () => {
    expect(averaged.rounds.count).toBe(20);
    expect(averaged.training.schedule).toEqual({ name: 'cosine', warmupRounds: 8 });
  });
});
