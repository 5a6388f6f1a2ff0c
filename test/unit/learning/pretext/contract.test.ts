/** A pretext task that uses everything the contract offers: untrained groups, frozen tensors, draws, scalars, `afterStep`. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import type { Group, PretextTask } from '../../../../learning/contracts.ts';
import { eagerEngine } from '../../../../learning/engine/eager.ts';
import { modelOf } from '../../../../learning/model.ts';
import { pretexts } from '../../../../learning/registry.ts';
import {
  drawStep,
  gradientProgram,
  initialState,
  parametersIn,
  scalarsAt,
  stateNames,
  trainProgram,
} from '../../../../learning/train-step.ts';
import { stream } from '../../../../protocol/random.ts';
import { float32, scalar } from '../../../../protocol/tensors.ts';
import { planOf, TINY } from '../plans.ts';

const group = (name: string, trainable: boolean): Group => ({
  name,
  manifest: { w: { shape: [4], dtype: 'float32' } },
  init: () => ({ w: float32([4], Float32Array.of(1, 2, 3, 4)) }),
  trainable,
  aggregate: trainable,
  writeBack: trainable ? 'global' : 'ema',
  persist: !trainable,
});

/** loss = Σ (predictor · noise · anchor), which moves the predictor; the target follows it at the rate τ. */
const toy: PretextTask<{ name: 'toy' }> = {
  name: 'toy',
  paper: 'none',
  schema: z.strictObject({ name: z.literal('toy') }),
  views: 1,
  lossRange: () => [-1, 1],
  groups: () => [group('predictor', true), group('target', false)],
  draws: {
    specs: () => ({ noise: { shape: [4], dtype: 'float32' } }),
    draw: (rng) => ({
      noise: float32(
        [4],
        Float32Array.from({ length: 4 }, () => rng.next()),
      ),
    }),
  },
  scalars: (_, progress) => ({ tau: progress }),
  frozen: () => ({ anchor: { shape: [], dtype: 'float32' } }),
  loss: ({ tf }, { params, frozen, draws, views, images }) => {
    expect(views).toHaveLength(1);
    expect(views[0]!.shape).toEqual(images.shape);
    const used = tf.mul(tf.sum(tf.mul(params.predictor!.w!, draws.noise!)), frozen.anchor!);
    const encoder = params.encoder!;
    return tf.add(used, tf.mul(tf.add(tf.sum(encoder['dense0/kernel']!), tf.sum(encoder['dense0/bias']!)), 0));
  },
  afterStep: ({ tf }, { params, scalars }) => ({
    target: { w: tf.add(params.target!.w!, tf.mul(tf.sub(params.predictor!.w!, params.target!.w!), scalars.tau!)) },
  }),
};

const table = pretexts as Map<string, PretextTask>;
beforeAll(() => void table.set('toy', toy));
afterAll(() => void table.delete('toy'));

const toyPlan = () =>
  planOf({
    encoder: { ...TINY.mlp.encoder, hidden: [] },
    pretext: { name: 'toy' },
    training: { optimiser: { name: 'sgd', learningRate: 1, momentum: 0 }, schedule: { name: 'constant' } },
  });

it('is given all of it, and its untrained group moves after the update', async () => {
  const plan = toyPlan();
  const model = modelOf(plan);
  expect(Object.keys(model.aggregated)).toEqual(['encoder/dense0/bias', 'encoder/dense0/kernel', 'predictor/w']);
  expect(Object.keys(model.specs)).toContain('target/w');
  const engine = await eagerEngine('cpu');
  const program = trainProgram(plan);
  expect(program.inputs['aux/target/w']!.shape).toEqual([4]);
  expect(Object.keys(program.inputs)).not.toContain('params/target/w');
  const executable = await engine.load(program);
  await executable.set({ ...initialState(plan, model.init(1)), 'frozen/anchor': scalar(0.5) });
  const draws = drawStep(plan, stream(1, 'draws'));
  const noise = draws['draws/task/noise']!.data;
  const images = float32([3, 4, 4, 1]);
  await executable.run({ ...draws, 'batch/images': images, ...scalarsAt(plan, 1) }); // τ = 1/4
  const after = parametersIn(await executable.get(stateNames(program)));
  for (let i = 0; i < 4; i++) {
    const predictor = i + 1 - 0.5 * noise[i]!;
    expect(after['predictor/w']!.data[i]).toBeCloseTo(predictor, 6);
    expect(after['target/w']!.data[i]).toBeCloseTo(i + 1 + 0.25 * (predictor - (i + 1)), 6);
  }
  await engine.close();
});

it('has gradients for trained groups only', async () => {
  const plan = toyPlan();
  const engine = await eagerEngine('cpu');
  const program = gradientProgram(plan);
  const executable = await engine.load(program);
  const state = { ...initialState(plan, modelOf(plan).init(1)), 'frozen/anchor': scalar(2), ...scalarsAt(plan, 0) };
  await executable.set(Object.fromEntries(Object.entries(state).filter(([name]) => program.inputs[name])));
  const draws = drawStep(plan, stream(1, 'draws'));
  const result = await executable.run({ ...draws, 'batch/images': float32([3, 4, 4, 1]) });
  expect(Object.keys(result).sort()).toEqual([
    'grads/encoder/dense0/bias',
    'grads/encoder/dense0/kernel',
    'grads/predictor/w',
    'metrics/loss',
  ]);
  expect(result['grads/predictor/w']!.data[1]).toBeCloseTo(2 * draws['draws/task/noise']!.data[1]!, 6);
  await engine.close();
});

it('a loss that leaves out a trained parameter is a defect that names it', async () => {
  table.set('toy', { ...toy, loss: ({ tf }, { params }) => tf.sum(params.predictor!.w!) });
  const plan = toyPlan();
  const engine = await eagerEngine('cpu');
  const executable = await engine.load(trainProgram(plan));
  await executable.set({ ...initialState(plan, modelOf(plan).init(1)), 'frozen/anchor': scalar(1) });
  const feeds = { ...drawStep(plan, stream(1, 'draws')), 'batch/images': float32([3, 4, 4, 1]), ...scalarsAt(plan, 0) };
  await expect(executable.run(feeds)).rejects.toThrow('the loss of "toy" does not depend on encoder/dense0/kernel');
  await engine.close();
});
