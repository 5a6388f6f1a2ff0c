import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSource } from '../../../../learning/data/open.ts';
import { eagerEngine } from '../../../../learning/engine/eager.ts';
import { modelOf } from '../../../../learning/model.ts';
import { wrapAroundBatches } from '../../../../learning/pool/batches.ts';
import { createPool } from '../../../../learning/pool/pool.ts';
import type { TrainingPool } from '../../../../learning/pool/scheduler.ts';
import {
  drawStep,
  initialState,
  parametersIn,
  scalarsAt,
  stateNames,
  trainProgram,
} from '../../../../learning/train-step.ts';
import { flatten } from '../../../../protocol/flatten.ts';
import { stream } from '../../../../protocol/random.ts';
import { float32, type NamedArrays } from '../../../../protocol/tensors.ts';
import { globalModel, tinyImages, tinyPlan, trainInput } from './tiny.ts';

let pool: TrainingPool;
beforeAll(async () => {
  pool = await createPool({ workers: 0, engine: 'eager:cpu' });
});
afterAll(() => pool.close());

const plan = tinyPlan();

describe('train', () => {
  it('gives the same bits for the same input, others for another seed, participant, round or attempt', async () => {
    const first = await pool.run('train', trainInput(plan));
    expect(await pool.run('train', trainInput(plan))).toEqual(first);
    for (const change of [{ seed: 'other' }, { participant: 'bob' }, { round: 1 }, { attempt: 1 }]) {
      const { delta } = await pool.run('train', trainInput(plan, change));
      expect(delta).not.toEqual(first.delta);
    }
    expect(first.steps).toBe(3);
    expect(first.examples).toBe(20);
    expect(Number.isFinite(first.loss)).toBe(true);
    expect(first.local).toBeUndefined();
  });

  it('the delta is after − before in manifest order, and the loss the mean over exactly these steps', async () => {
    const { delta, loss } = await pool.run('train', trainInput(plan));
    const { aggregated, init } = modelOf(plan);
    const engine = await eagerEngine('cpu');
    const program = trainProgram(plan);
    const step = await engine.load(program);
    await step.set(initialState(plan, init(plan.seed)));
    const parts = ['participant seed', 'batches', 'alice', 0, 0] as const;
    const next = wrapAroundBatches(20, 8, stream(...parts));
    const draws = stream('participant seed', 'draws', 'alice', 0, 0);
    const source = await openSource(tinyImages(20), plan.data);
    const losses: number[] = [];
    for (let i = 0; i < 3; i++) {
      const { image } = await source.read(next());
      const feeds = { 'batch/images': image, ...drawStep(plan, draws), ...scalarsAt(plan, 0) };
      losses.push((await step.run(feeds))['metrics/loss']!.data[0]!);
    }
    const after = flatten(parametersIn(await step.get(stateNames(program))), aggregated);
    const before = flatten(globalModel(plan), aggregated);
    expect(delta).toEqual(after.map((v, i) => v - before[i]!));
    expect(delta.some((v) => v !== 0)).toBe(true);
    expect(loss).toBeCloseTo((losses[0]! + losses[1]! + losses[2]!) / 3, 12);
    await engine.close();
  });

  it('moves nothing when the learning rate is zero', async () => {
    const still = tinyPlan({}, { optimiser: { name: 'sgd', learningRate: 1e-300 } });
    const { delta } = await pool.run('train', trainInput(still));
    expect(delta.every((v) => v === 0)).toBe(true);
  });

  it('lowers the loss over rounds when its deltas are applied', async () => {
    const longer = tinyPlan({}, { steps: 30, schedule: { name: 'constant' } });
    const { aggregated } = modelOf(longer);
    let model = globalModel(longer);
    const losses: number[] = [];
    for (let round = 0; round < 3; round++) {
      const { delta, loss } = await pool.run('train', trainInput(longer, { model, round }));
      let at = 0;
      model = Object.fromEntries(
        Object.keys(aggregated).map((name) => {
          const { shape, data } = model[name]!;
          return [
            name,
            float32(
              shape,
              Float32Array.from(data, (v) => v + delta[at++]!),
            ),
          ];
        }),
      );
      losses.push(loss);
    }
    expect(losses[2]).toBeLessThan(losses[0]! - 0.2);
  });

  it('leaves its inputs as they were', async () => {
    const input = trainInput(plan);
    const copy = structuredClone(input);
    await pool.run('train', input);
    expect(input).toEqual(copy);
  });

  it('refuses too few examples, a model that does not fit and training that diverges, each with its code', async () => {
    await expect(pool.run('train', trainInput(plan, { source: tinyImages(3) }))).rejects.toMatchObject({
      code: 'data/too-few-examples',
    });
    const model = { ...globalModel(plan), 'encoder/dense0/kernel': float32([2, 2]) };
    await expect(pool.run('train', trainInput(plan, { model }))).rejects.toMatchObject({
      code: 'weights/mismatch',
      where: 'encoder/dense0/kernel',
    });
    const wild = tinyPlan(
      { encoder: { name: 'mlp', hidden: [8], dim: 6, normalisation: 'none' } },
      { steps: 40, optimiser: { name: 'sgd', learningRate: 1e30 } },
    );
    await expect(pool.run('train', trainInput(wild))).rejects.toMatchObject({ code: 'report/not-finite' });
  });

  it('keeps the optimiser when the plan says so, and drops what is stale', async () => {
    const keeping = tinyPlan({}, { optimiserState: 'keep', schedule: { name: 'constant' } });
    const first = await pool.run('train', trainInput(keeping));
    expect(first.local).toMatchObject({ task: 'tiny', lastRound: 0 });
    expect(Object.keys(first.local!.arrays)).toContain('optimiser/encoder/dense0/kernel/m');
    const round1 = (local: typeof first.local, changed = keeping) =>
      pool.run('train', trainInput(changed, { round: 1, local }));
    const kept = await round1(first.local);
    const fresh = await round1(undefined);
    expect(kept.delta).not.toEqual(fresh.delta);
    expect((await round1({ ...first.local!, task: 'another' })).delta).toEqual(fresh.delta);
    expect((await round1({ ...first.local!, lastRound: 7 })).delta).toEqual(fresh.delta);
    expect((await round1({ ...first.local!, plan: 'of old' })).delta).toEqual(fresh.delta);
  });

  it('reports progress up to the last step', async () => {
    const seen: number[] = [];
    await pool.run('train', trainInput(plan), { onProgress: ({ done, total }) => seen.push(done / total) });
    expect(seen.at(-1)).toBe(1);
    expect(seen).toEqual([...seen].sort());
  });
});

describe('central', () => {
  it('learns, reports a loss per round, and differs by name', async () => {
    const input = { plan, source: tinyImages(40), steps: 60, seed: 1 };
    const a = await pool.run('central', input);
    expect(a.losses.length).toBe(4);
    expect(a.losses[3]).toBeLessThan(a.losses[0]!);
    expect(await pool.run('central', input)).toEqual(a);
    expect((await pool.run('central', { ...input, name: 'alice' })).losses).not.toEqual(a.losses);
    expect(Object.keys(a.model)).toEqual(Object.keys(modelOf(plan).specs));
  });
});

describe('embed', () => {
  it('gives one row per example, in order, whatever the piece it came in', async () => {
    const model = globalModel(plan);
    const all = await pool.run('embed', { plan, model, source: tinyImages(600) });
    expect([all.rows, all.columns, all.data.length]).toEqual([600, 6, 3600]);
    expect([...all.labels!.subarray(0, 5)]).toEqual([0, 1, 2, 3, 0]);
    const some = await pool.run('embed', {
      plan,
      model,
      source: { ...tinyImages(600), indices: Int32Array.of(599, 3, 256) },
    });
    [599, 3, 256].forEach((row, i) => {
      some.data.subarray(i * 6, i * 6 + 6).forEach((v, j) => {
        expect(v).toBeCloseTo(all.data[row * 6 + j]!, 5);
      });
    });
    expect([...some.labels!]).toEqual([3, 3, 0]);
  });

  it('without a model gives the pixels', async () => {
    const source = tinyImages(5);
    const { columns, data } = await pool.run('embed', { plan, source });
    expect(columns).toBe(16);
    expect(data).toEqual(source.image.data);
  });

  it('refuses weights of another encoder', async () => {
    const model: NamedArrays = { 'encoder/dense0/kernel': float32([16, 8]) };
    await expect(pool.run('embed', { plan, model, source: tinyImages(5) })).rejects.toMatchObject({
      code: 'weights/mismatch',
    });
  });
});

describe('probe and evaluate', () => {
  it('score features of images whose class can be seen', async () => {
    const [train, test] = await Promise.all(
      [tinyImages(80), tinyImages(60, 2)].map(async (source) => {
        const { rows, columns, data, labels } = await pool.run('embed', { plan, source });
        return { features: { rows, columns, data }, labels: labels! };
      }),
    );
    const curve = await pool.run('probe', {
      train: train!,
      test: test!,
      classes: 4,
      draws: [[Int32Array.of(0, 1, 2, 3)], [Int32Array.from({ length: 20 }, (_, i) => i)]],
      validation: Int32Array.from({ length: 20 }, (_, i) => 60 + i),
      penalties: [1e-3, 1e-1],
    });
    expect(curve.mean[1]).toBe(1);
    const scores = await pool.run('evaluate', {
      train: train!,
      test: test!,
      classes: 4,
      neighbours: 5,
      temperature: 0.1,
      probe: { penalties: [1e-3], validation: Int32Array.of(0, 1, 2, 3) },
    });
    expect(scores.knn).toBe(1);
    expect(scores.linear!.accuracy).toBe(1);
    expect(scores.linear!.confusion.map((row, c) => row[c])).toEqual([15, 15, 15, 15]);
    expect(scores.rankMe).toBeGreaterThan(2);
  });
});
