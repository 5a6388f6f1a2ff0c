/** The paired control: all images on one machine, a step for each round of the federation, on the same images and views. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SourceSpec } from '../../../../learning/data/source.ts';
import { eagerEngine } from '../../../../learning/engine/eager.ts';
import type { Engine } from '../../../../learning/engine/engine.ts';
import { modelOf } from '../../../../learning/model.ts';
import type { PooledInput } from '../../../../learning/pool/jobs/pooled.ts';
import { createPool } from '../../../../learning/pool/pool.ts';
import type { TrainingPool } from '../../../../learning/pool/scheduler.ts';
import type { Plan } from '../../../../protocol/plan.ts';
import { AUGMENTED, apart, centralised, federated, planOf, ROUNDS, restricted } from '../../server/shared-rounds.ts';
import { tinyImages } from './tiny.ts';

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

/** Rotation as well, whose draws count pixels over the whole batch. */
const ROTATED = { augmentation: { ...AUGMENTED.augmentation, rotateDegrees: 20, blur: { probability: 0.5 } } };
const byExamples = { privacy: { mode: 'sealed', clipNorm: 300, weights: 'examples', maxExamples: 12 } };
/** One class each, 4 to 16 images: the last two weigh the same, by `maxExamples`. */
const SIZES = [4, 8, 12, 16];
const all = tinyImages(64);
const unequal = restricted(
  all,
  SIZES.map((size, c) => Array.from({ length: size }, (_, i) => 4 * i + c)),
);

/** As `federated` names participants, seeds and attempts. */
const inputOf = (plan: Plan, sources: readonly SourceSpec[], changes: Partial<PooledInput> = {}): PooledInput => ({
  plan,
  shards: sources.map((source, k) => ({ source, seed: 'seed', participant: `p${k}` })),
  attempts: Array.from({ length: ROUNDS }, () => 1),
  ...changes,
});

const trained = async (on: TrainingPool, input: PooledInput) => {
  const { model, losses } = await on.run('pooled', input);
  return { model, losses, state: {}, loss: losses.at(-1)! };
};

describe('the job pooled', () => {
  it.each([null, 0.05])('gives what rounds give, shares of any size (clipGradient %s)', async (clipGradient) => {
    const plan = planOf(
      {},
      { clipGradient, schedule: { name: 'cosine', warmupRounds: 1 } },
      { ...ROTATED, ...byExamples },
    );
    const ours = await trained(pool, inputOf(plan, unequal));
    const theirs = await federated(pool, plan, unequal);
    expect(apart(plan, theirs, ours)).toBeLessThan(2e-5);
    expect(Math.abs(ours.loss - theirs.loss)).toBeLessThan(1e-5);
    expect(ours.losses).toHaveLength(ROUNDS);
    expect(Object.keys(ours.model)).toEqual(Object.keys(modelOf(plan).specs));
  });

  it('with other weights, streams or attempts it gives something else', async () => {
    const plan = planOf({}, {}, { ...ROTATED, ...byExamples });
    const theirs = await federated(pool, plan, unequal);
    const input = inputOf(plan, unequal);
    const even = planOf({}, {}, { ...ROTATED, privacy: { ...byExamples.privacy, weights: 'uniform' } });
    const renamed = input.shards.map((shard) => ({ ...shard, participant: `other ${shard.participant}` }));
    const changes: PooledInput[] = [
      { ...input, plan: even },
      { ...input, shards: renamed },
      { ...input, attempts: [1, 2, 1] },
    ];
    for (const changed of changes) expect(apart(plan, theirs, await trained(pool, changed))).toBeGreaterThan(0.01);
  });

  it('with one shard it is plain spectral training', async () => {
    const plan = planOf({}, {}, AUGMENTED);
    const sources = [tinyImages(11)];
    const plain = await centralised(engine, plan, sources, ROUNDS);
    expect(apart(plan, plain, await trained(pool, inputOf(plan, sources)))).toBeLessThan(2e-5);
  });

  it('starts from weights that it is given', async () => {
    const plan = planOf({}, {}, AUGMENTED);
    const none = await pool.run('pooled', inputOf(plan, unequal, { attempts: [] }));
    expect(none.model).toEqual(modelOf(plan).init(plan.seed));
    const model = modelOf(plan).init(99);
    expect((await pool.run('pooled', inputOf(plan, unequal, { attempts: [], model }))).model).toEqual(model);
  });

  it('refuses tasks without statistics, and shares that are too small', async () => {
    const plan = planOf({}, {}, AUGMENTED);
    const other = {
      ...plan,
      pretext: { name: 'simclr', temperature: 0.5, projector: { hidden: [8], dim: 5 } },
    } as Plan;
    await expect(pool.run('pooled', inputOf(other, unequal))).rejects.toMatchObject({ code: 'plan/refused' });
    const small = restricted(all, [[0, 1, 2]]);
    await expect(pool.run('pooled', inputOf(plan, small))).rejects.toMatchObject({ code: 'data/too-few-examples' });
  });

  it('is the same on the compiled engine', async () => {
    const plan = planOf({}, { clipGradient: 0.5 }, { ...ROTATED, ...byExamples });
    const compiled = await createPool({ workers: 0, engine: 'compiled' });
    const ours = await trained(compiled, inputOf(plan, unequal)).finally(() => compiled.close());
    expect(apart(plan, await trained(pool, inputOf(plan, unequal)), ours)).toBeLessThan(1e-4);
  });
});
