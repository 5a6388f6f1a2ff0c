/**
 * Rounds of strategy `shared-statistics`, with the participants' jobs, reports in fixed point and the strategy: in exact mode a round
 * is one step of centralised training on everybody's batches, whoever holds what.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SourceSpec } from '../../../learning/data/source.ts';
import { eagerEngine } from '../../../learning/engine/eager.ts';
import type { Engine } from '../../../learning/engine/engine.ts';
import { modelOf } from '../../../learning/model.ts';
import { createPool } from '../../../learning/pool/pool.ts';
import type { TrainingPool } from '../../../learning/pool/scheduler.ts';
import { exchangesOf } from '../../../protocol/sections.ts';
import { float32 } from '../../../protocol/tensors.ts';
import { sharedStatistics } from '../../../server/strategies/shared-statistics.ts';
import { deviation } from '../../reference/arrays.ts';
import { globalModel, tinyImages } from '../learning/pool/tiny.ts';
import {
  ADAM,
  AUGMENTED,
  apart,
  begin,
  centralised,
  federated,
  images,
  PARTITIONS,
  planOf,
  ROUNDS,
  restricted,
  round,
} from './shared-rounds.ts';

let pool: TrainingPool;
let engine: Engine;
beforeAll(async () => {
  pool = await createPool({ workers: 0, engine: 'eager:cpu' });
  engine = await eagerEngine('cpu');
});
afterAll(async () => {
  await pool.close();
  await engine.close();
});

describe('exact mode', () => {
  it.each(Object.entries(PARTITIONS))(
    '%s: rounds are steps of centralised training on the pooled batches',
    async (_name, parts) => {
      const plan = planOf({}, { schedule: { name: 'cosine', warmupRounds: 1 } }, AUGMENTED);
      const sources = restricted(images, parts);
      const ours = await federated(pool, plan, sources);
      const theirs = await centralised(engine, plan, sources, ROUNDS);
      expect(apart(plan, ours, theirs)).toBeLessThan(2e-5);
      expect(Math.abs(ours.loss - theirs.loss)).toBeLessThan(1e-5);
    },
  );

  it('who holds what makes no difference', async () => {
    // without augmentation everybody's batches are the same images in every partition
    const plan = planOf({}, {}, { augmentation: { name: 'image', crop: [1, 1] } });
    const [skewed, even] = Object.values(PARTITIONS).map((parts) => restricted(images, parts)) as [
      SourceSpec[],
      SourceSpec[],
    ];
    const ours = await federated(pool, plan, skewed);
    expect(apart(plan, ours, await federated(pool, plan, even))).toBeLessThan(2e-5);
    // plain averaging of what each would do alone is something else
    const alone = await Promise.all(skewed.map((source) => federated(pool, plan, [source])));
    expect(apart(plan, ours, alone[0]!)).toBeGreaterThan(0.1);
  });

  it('for one participant it is plain spectral training, whatever its weight', async () => {
    const weights = { privacy: { mode: 'sealed', clipNorm: 300, weights: 'examples', maxExamples: 20 } };
    const plan = planOf({}, {}, { ...AUGMENTED, ...weights });
    const sources = [tinyImages(11)];
    expect(
      apart(plan, await federated(pool, plan, sources), await centralised(engine, plan, sources, ROUNDS)),
    ).toBeLessThan(2e-5);
  });

  it('clips the mean gradient as one machine would', async () => {
    const plan = planOf({}, { clipGradient: 0.05 }, AUGMENTED);
    const sources = restricted(images, PARTITIONS['one class each']!);
    const ours = await federated(pool, plan, sources);
    expect(apart(plan, ours, await centralised(engine, plan, sources, ROUNDS))).toBeLessThan(2e-5);
    expect(apart(plan, ours, await federated(pool, planOf({}, {}, AUGMENTED), sources))).toBeGreaterThan(0.01);
  });

  it('an attempt that is repeated measures and trains on another batch', async () => {
    const plan = planOf({}, {}, AUGMENTED);
    const input = { plan, model: globalModel(plan), source: images, seed: 1, participant: 'p', round: 0, attempt: 1 };
    const { statistics } = await pool.run('statistics', input);
    expect((await pool.run('statistics', input)).statistics).toEqual(statistics);
    expect((await pool.run('statistics', { ...input, attempt: 2 })).statistics).not.toEqual(statistics);
  });
});

describe('local mode', () => {
  const none = { augmentation: { name: 'image', crop: [1, 1] } };
  const sources = restricted(images, PARTITIONS['one class each']!);

  it('one step of round 0 stands for the mean gradient on all data', async () => {
    const local = planOf({ mode: 'local' }, {}, none);
    const exact = planOf({}, {}, none);
    const [a, b] = [await federated(pool, local, sources, 1), await federated(pool, exact, sources, 1)];
    expect(deviation(a.state.m!.data, b.state.m!.data)).toBeLessThan(1e-3);
    expect(Math.abs(a.loss - b.loss)).toBeLessThan(1e-5);
  });

  it('lowers the loss on all data over rounds of two preconditioned steps', async () => {
    const plan = planOf(
      { mode: 'local' },
      {
        steps: 2,
        optimiser: { ...ADAM, learningRate: 0.02, epsilon: 1e-8, weightDecay: 0 },
        schedule: { name: 'constant' },
      },
      none,
    );
    const losses: number[] = [];
    let standing = begin(plan);
    for (let r = 0; r < 8; r++) {
      standing = await round(pool, plan, sources, r, standing);
      losses.push(standing.loss);
    }
    expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.2);
    expect(standing.state.steps!.data[0]).toBe(8);
  });

  it('sends the preconditioner: 1 before anything is known, then the larger the smaller the gradient was', () => {
    const plan = planOf({ mode: 'local' });
    const shape = modelOf(plan).reportShape;
    const [exchange] = exchangesOf(plan, shape);
    const aggregate = { sections: { statistics: new Float32Array(shape.statistics!.length) }, weight: 2, metrics: {} };
    const inputs = { plan, round: 0, exchange: exchange!, aggregate, global: new Float32Array(shape.dimension) };
    const state = sharedStatistics.init(plan, shape);
    const first = sharedStatistics.apply(state, inputs).broadcast!;
    expect(new Set(first.preconditioner!.data)).toEqual(new Set([1]));
    expect(first.weight!.data[0]).toBe(2);
    const v = new Float32Array(shape.dimension).fill(0.04);
    v[0] = 0.01;
    const later = { ...state, v: float32([v.length], v), steps: float32([], Float32Array.of(1)) };
    const factors = sharedStatistics.apply(later, inputs).broadcast!.preconditioner!.data;
    // √v̂ with bias correction 1 − β₂ is √(v / 0.1)
    const root = Math.sqrt(0.4);
    expect(factors.at(-1)!).toBeCloseTo(1 / (root * 1.03 + 1e-2), 3);
    expect(factors[0]!).toBeGreaterThan(1.8 * factors[1]!);
  });
});

describe('a plan that cannot share statistics is refused', () => {
  it.each([
    ['a task without statistics', { pretext: { name: 'simclr' } }, {}, 'strategy.name'],
    ['more than one step in exact mode', {}, { steps: 2 }, 'training.steps'],
    ['another optimiser than adam', {}, { optimiser: { name: 'sgd', learningRate: 0.1 } }, 'training.optimiser.name'],
    ['optimisers of the participants', {}, { optimiserState: 'keep' }, 'training.optimiserState'],
  ] as const)('%s', (_what, changes, training, where) => {
    expect(() => planOf({}, training, changes)).toThrow(expect.objectContaining({ code: 'plan/refused', where }));
  });

  it('clipped gradients in local mode', () => {
    expect(() => planOf({ mode: 'local' }, { clipGradient: 1 })).toThrow(
      expect.objectContaining({ where: 'training.clipGradient' }),
    );
  });
});
