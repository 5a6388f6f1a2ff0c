import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelOf } from '../../../learning/model.ts';
import { createPool } from '../../../learning/pool/pool.ts';
import type { TrainingPool } from '../../../learning/pool/scheduler.ts';
import { flatten } from '../../../protocol/flatten.ts';
import { decodeSafetensors } from '../../../protocol/safetensors.ts';
import type { NamedArrays } from '../../../protocol/tensors.ts';
import { controlOf, pairedInput } from '../../../simulations/central-row.ts';
import { runFederation } from '../../../simulations/federation.ts';
import { controlSentence, type MainJobResult, rowLabels } from '../../../simulations/result.ts';
import { deviation } from '../../reference/arrays.ts';
import { tinyImages, tinyPlan } from '../learning/pool/tiny.ts';

let pool: TrainingPool;
beforeAll(async () => {
  pool = await createPool({ workers: 0, engine: 'eager:cpu' });
});
afterAll(() => pool.close());

const shared = (strategy: object = {}) =>
  tinyPlan(
    {
      strategy: { name: 'shared-statistics', ...strategy },
      augmentation: { name: 'image', crop: [0.5, 1], rotateDegrees: 15 },
      rounds: { count: 3, cohort: 2, overSelection: 1, waitForAll: true },
      privacy: { mode: 'sealed', clipNorm: 50, weights: 'examples', maxExamples: 40 },
    },
    { steps: 1, optimiser: { name: 'adam', learningRate: 1e-2, epsilon: 1e-2 } },
  );

describe('the paired control', () => {
  it('draws what the participants of a simulation draw', async () => {
    const plan = shared();
    const sources = [tinyImages(10, 1), tinyImages(30, 2)];
    const { signal } = new AbortController();
    const { result } = await runFederation({ plan, transport: 'memory', sources, pool, signal });
    const input = await pairedInput(plan, sources, result.history);
    const { model, losses } = await pool.run('pooled', input);
    const { aggregated, init } = modelOf(plan);
    const start = flatten(init(plan.seed), aggregated);
    const way = (to: NamedArrays): Float32Array => flatten(to, aggregated).map((v, i) => v - start[i]!);
    const federated = way(decodeSafetensors(result.model).arrays);
    expect(deviation(way(model), federated)).toBeLessThan(1e-4);
    expect(
      deviation(
        losses,
        result.history.map(({ loss }) => loss),
      ),
    ).toBeLessThan(1e-5);
    const other = await pool.run('pooled', await pairedInput({ ...plan, seed: 1 }, sources, result.history));
    expect(deviation(way(other.model), federated)).toBeGreaterThan(0.01);
  });

  it('is there where rounds are steps', () => {
    expect(controlOf(shared())).toBe('paired');
    expect(controlOf(shared({ mode: 'local' }))).toBe('own-batches');
    expect(controlOf(tinyPlan())).toBe('own-batches');
  });
});

describe('what the row is called', () => {
  const rounds = (participants: readonly number[]) => participants.map((n) => ({ participants: n }));
  const result = (control: string, participants: readonly number[] = [2, 2]) =>
    ({ control, participants: 2, history: rounds(participants) }) as unknown as MainJobResult;

  it('says whose batches they are', () => {
    expect(rowLabels(result('paired')).central).toContain('paired control');
    expect(rowLabels(result('own-batches')).central).not.toContain('paired');
    expect(controlSentence(result('paired'))).toContain('the very images and views that the participants drew');
    expect(controlSentence(result('own-batches'))).toContain('batches of its own');
  });

  it('says so when a participant was lost', () => {
    expect(controlSentence(result('paired'))).not.toContain('missing');
    expect(controlSentence(result('paired', [2, 1, 2]))).toContain('In 1 of 3 rounds a report was missing');
  });
});
