import { describe, expect, it } from 'vitest';
import { eagerEngine } from '../../../learning/engine/eager.ts';
import type { Engine, Program } from '../../../learning/engine/engine.ts';
import { modelOf } from '../../../learning/model.ts';
import { pretexts } from '../../../learning/registry.ts';
import { learningRateAt } from '../../../learning/schedule.ts';
import {
  drawStep,
  encodeProgram,
  gradientProgram,
  initialState,
  optimiserIn,
  parametersIn,
  scalarsAt,
  stateNames,
  trainProgram,
} from '../../../learning/train-step.ts';
import type { Plan } from '../../../protocol/plan.ts';
import { stream } from '../../../protocol/random.ts';
import { float32, type NamedArrays, sizeOf } from '../../../protocol/tensors.ts';
import { deviation, dot, randomArray, slope, toNamedWeights } from '../../reference/arrays.ts';
import { stepLoss } from '../../reference/step.ts';
import { BACKENDS } from './ops/gradients.ts';
import { planOf, TINY } from './plans.ts';

const AUGMENTED = {
  augmentation: {
    name: 'image',
    crop: [0.5, 1],
    rotateDegrees: 15,
    brightness: 0.3,
    contrast: 0.3,
    erase: { probability: 0.3 },
  },
  data: { shape: [4, 4, 1], normalisation: { mean: [0.3], std: [0.5] } },
};

type Name = keyof typeof TINY;
const planned = (encoder: Name, task: Name) => ({
  name: `${task} with ${encoder}`,
  plan: planOf({ ...AUGMENTED, ...TINY[encoder], ...TINY[task] }),
});

/** Every task with the cheapest encoder, and every encoder. */
const plans = [
  ...[...pretexts.keys()].map((task) => planned('mlp', task as Name)),
  planned('conv', 'spectral'),
  planned('conv', 'mae'),
  planned('resnet', 'vicreg'),
  planned('vit', 'simclr'),
  planned('vit', 'mae'),
];

const imagesFor = (plan: Plan, seed = 1) => {
  const rng = stream(seed, 'images');
  const shape = [plan.training.batch, ...plan.data.shape];
  return float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => rng.next()),
  );
};

/** Images, draws and scalars of step `i`. */
const feedsFor = (plan: Plan, i = 0): NamedArrays => ({
  'batch/images': imagesFor(plan, i),
  ...drawStep(plan, stream(i, 'draws')),
  ...scalarsAt(plan, 0),
});

const only = (program: Program, feeds: NamedArrays): NamedArrays =>
  Object.fromEntries(Object.entries(feeds).filter(([name]) => program.inputs[name]));

async function gradients(
  engine: Engine,
  plan: Plan,
  parameters: NamedArrays,
  feeds: NamedArrays,
): Promise<NamedArrays> {
  const program = gradientProgram(plan);
  const executable = await engine.load(program);
  await executable.set(only(program, initialState(plan, parameters)));
  const result = await executable.run(only(program, feeds));
  executable.dispose();
  return result;
}

/** Parameters after `steps` steps from the initial values of `seed`, and the losses on the way. */
async function trained(engine: Engine, plan: Plan, steps: number, seed = 1) {
  const program = trainProgram(plan);
  const executable = await engine.load(program);
  await executable.set(initialState(plan, modelOf(plan).init(seed)));
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push((await executable.run(feedsFor(plan, i)))['metrics/loss']!.data[0]!);
  const state = await executable.get(stateNames(program));
  executable.dispose();
  return { parameters: parametersIn(state), optimiser: optimiserIn(state), losses };
}

const all = (arrays: NamedArrays): number[] => Object.values(arrays).flatMap(({ data }) => Array.from(data));

describe.each(BACKENDS)('gradient of a step on %s', (backend) => {
  it.each(plans)('$name agrees with the naive loss in double precision', async ({ plan }) => {
    const engine = await eagerEngine(backend);
    const parameters = modelOf(plan).init(3);
    const feeds = feedsFor(plan);
    const found = await gradients(engine, plan, parameters, feeds);
    const weights = toNamedWeights(parameters);
    expect(found['metrics/loss']!.data[0]).toBeCloseTo(stepLoss(plan, feeds, weights), 4);
    const rng = stream(5, 'directions');
    const largest = Math.max(...all(found).map(Math.abs));
    const trained = modelOf(plan).groups.filter((group) => group.trainable);
    for (const [name, { shape, data }] of Object.entries(weights)) {
      if (!trained.some((group) => name.startsWith(`${group.name}/`))) {
        expect(found[`grads/${name}`]).toBeUndefined();
        continue;
      }
      const gradient = found[`grads/${name}`]!.data;
      expect(gradient.length).toBe(data.length);
      for (let trial = 0; trial < 2; trial++) {
        const along = randomArray(rng, shape).data;
        const lossAt = (x: Float64Array): number =>
          stepLoss(plan, feeds, { ...weights, [name]: { shape, data: x } }, weights);
        const exact = slope(lossAt, data, along, 1e-5);
        expect(Math.abs(dot(gradient, along) - exact) / Math.hypot(...along)).toBeLessThan(1e-4 * largest);
      }
    }
    await engine.close();
  });
});

describe('training', () => {
  it.each(plans)('$name: wasm and cpu agree over 5 steps', async ({ plan }) => {
    const sgd = {
      ...plan,
      training: { ...plan.training, optimiser: { name: 'sgd', learningRate: 0.01, momentum: 0.9, weightDecay: 1e-3 } },
    } as Plan;
    const [wasm, cpu] = [await eagerEngine('wasm'), await eagerEngine('cpu')];
    const [one, two] = [await trained(wasm, sgd, 5), await trained(cpu, sgd, 5)];
    expect(deviation(all(one.parameters), all(two.parameters))).toBeLessThan(1e-4);
    expect(deviation(one.losses, two.losses)).toBeLessThan(1e-4);
    await Promise.all([wasm.close(), cpu.close()]);
  });

  it.each(plans)('$name: the same seed gives the same bits, another seed others', async ({ plan }) => {
    const engine = await eagerEngine('wasm');
    const one = await trained(engine, plan, 3);
    const again = await trained(await eagerEngine('wasm'), plan, 3);
    expect(again).toEqual(one);
    expect((await trained(engine, plan, 3, 2)).parameters).not.toEqual(one.parameters);
    await engine.close();
  });

  it('one step of plain SGD moves each parameter by rate · gradient, clipped or not', async () => {
    const engine = await eagerEngine('cpu');
    for (const clipGradient of [null, 0.01]) {
      const plan = planOf({
        ...TINY.mlp,
        ...TINY.spectral,
        training: { optimiser: { name: 'sgd', learningRate: 0.5, momentum: 0 }, clipGradient },
      });
      const before = modelOf(plan).init(1);
      const { parameters, optimiser, losses } = await trained(engine, plan, 1);
      const free = await gradients(
        engine,
        { ...plan, training: { ...plan.training, clipGradient: null } },
        before,
        feedsFor(plan),
      );
      const names = Object.keys(before);
      const length = Math.hypot(...names.flatMap((name) => Array.from(free[`grads/${name}`]!.data)));
      const factor = clipGradient === null ? 1 : clipGradient / length;
      const expected = names.flatMap((name) =>
        Array.from(before[name]!.data, (v, i) => v - 0.5 * factor * free[`grads/${name}`]!.data[i]!),
      );
      expect(Object.keys(optimiser)).toEqual([]);
      expect(losses[0]).toBe(free['metrics/loss']!.data[0]);
      expect(deviation(all(parameters), expected)).toBeLessThan(1e-6);
    }
    await engine.close();
  });

  it('lowers the loss', async () => {
    const engine = await eagerEngine('wasm');
    const plan = planOf({ ...AUGMENTED, ...TINY.mlp, training: { batch: 16 } });
    const { losses } = await trained(engine, plan, 60);
    const average = (values: number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
    expect(average(losses.slice(-10))).toBeLessThan(average(losses.slice(0, 10)) - 0.1);
    await engine.close();
  });
});

describe('programs', () => {
  const { plan } = plans[0]!;

  it('ask for exactly what drawStep, scalarsAt and initialState give', () => {
    const given = { ...feedsFor(plan), ...initialState(plan, modelOf(plan).init(1)) };
    const shapes = Object.fromEntries(
      Object.entries(given).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
    );
    expect(shapes).toEqual(trainProgram(plan).inputs);
    const asked = Object.keys(gradientProgram(plan).inputs);
    expect(asked.every((name) => name in given)).toBe(true);
    expect(asked.some((name) => name.startsWith('optimiser/') || name === 'scalars/learningRate')).toBe(false);
  });

  it('have another name when anything in the graph differs, and the same otherwise', () => {
    const named = (changes: object): string => trainProgram(planOf({ ...TINY.mlp, ...changes })).name;
    const names = [
      {},
      { pretext: { name: 'spectral', mu: 5 } },
      { pretext: { name: 'simclr' } },
      { augmentation: { name: 'image', flip: 0.5 } },
      { training: { clipGradient: 1 } },
      { training: { optimiser: { name: 'adam', learningRate: 0.01, beta1: 0.8 } } },
      { data: { normalisation: { mean: [0.1], std: [1] } } },
    ].map(named);
    expect(new Set(names).size).toBe(names.length);
    expect(names[0]).toMatch(/^train:spectral:mlp#[0-9a-f]{16}$/);
    expect(named({ rounds: { count: 9 }, seed: 5, task: 'other' })).toBe(names[0]);
  });

  it('the encoder alone takes any batch and gives each image the same embedding in each', async () => {
    const engine = await eagerEngine('wasm');
    const executable = await engine.load(encodeProgram(plan));
    const parameters = modelOf(plan).init(1);
    const own = Object.entries(parameters).filter(([name]) => name.startsWith('encoder/'));
    await executable.set(Object.fromEntries(own.map(([name, array]) => [`params/${name}`, array])));
    const images = imagesFor(plan);
    const pixels = sizeOf(plan.data.shape);
    const whole = (await executable.run({ images })).embeddings!;
    expect(whole.shape).toEqual([3, 4]);
    const last = float32([1, ...plan.data.shape], images.data.slice(2 * pixels) as Float32Array);
    const single = (await executable.run({ images: last })).embeddings!;
    expect(deviation(single.data, whole.data.slice(8))).toBeLessThan(1e-6);
    await engine.close();
  });
});

describe('learningRateAt', () => {
  const rates = (schedule: object, count = 4): number[] => {
    const plan = planOf({ rounds: { count }, training: { schedule } });
    return Array.from({ length: count }, (_, round) => learningRateAt(plan, round) / 0.01);
  };

  it('follows half a cosine over the rounds', () => {
    const expected = [1, 0.853553, 0.5, 0.146447];
    for (const [i, rate] of rates({ name: 'cosine' }).entries()) expect(rate).toBeCloseTo(expected[i]!, 5);
  });

  it('stays constant', () => {
    expect(rates({ name: 'constant' })).toEqual([1, 1, 1, 1]);
  });

  it('rises linearly over the warm-up first', () => {
    const expected = [1 / 3, 2 / 3, 1, 0.5];
    for (const [i, rate] of rates({ name: 'cosine', warmupRounds: 2 }).entries())
      expect(rate).toBeCloseTo(expected[i]!, 6);
  });
});
