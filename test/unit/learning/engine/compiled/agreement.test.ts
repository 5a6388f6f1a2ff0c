/** The compiled engine computes what the eager one computes, on whole training steps. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledEngine } from '../../../../../learning/engine/compiled.ts';
import { eagerEngine } from '../../../../../learning/engine/eager.ts';
import type { Engine, Executable, Program } from '../../../../../learning/engine/engine.ts';
import { modelOf } from '../../../../../learning/model.ts';
import { under, within } from '../../../../../learning/names.ts';
import { gradientProgram, initialState, stateNames, trainProgram } from '../../../../../learning/train-step.ts';
import type { Plan } from '../../../../../protocol/plan.ts';
import { float32, type NamedArrays, type NDArray, scalar } from '../../../../../protocol/tensors.ts';
import { CASES, feedsOf, planOf } from './plans.ts';

const STEPS = 50;
/** Eager tfjs takes up to a tenth of a second for a step of many operations, on a busy machine several times that. */
const PATIENCE_MS = 120_000;

const largest = (...arrays: readonly NDArray[]): number =>
  Math.max(...arrays.map(({ data }) => Math.max(...Array.from(data, Math.abs))));

/**
 * The largest difference in any tensor, relative to that tensor's largest element; tensors that vanish beside the others
 * (a bias before a normalisation has gradient zero) are measured against a fifth of the largest of all,
 * so that what is rounding in one place is not taken for a gradient in another.
 */
function disagreement(a: NamedArrays, b: NamedArrays): number {
  const floor = largest(...Object.values(a)) / 5;
  const differences = Object.entries(a).map(([name, array]) => {
    const difference = Float32Array.from(array.data, (x, i) => x - b[name]!.data[i]!);
    return largest({ ...array, data: difference }) / Math.max(floor, largest(array));
  });
  return Math.max(...differences);
}

const pick = (program: Program, arrays: NamedArrays): NamedArrays =>
  Object.fromEntries(Object.entries(arrays).filter(([name]) => program.inputs[name]));

const grads = (results: NamedArrays): NamedArrays => under('grads', within('grads', results));

interface Pair {
  readonly compiled: Executable;
  readonly eager: Executable;
}

let engines: { compiled: Engine; eager: Engine };
beforeAll(async () => {
  engines = { compiled: await compiledEngine(), eager: await eagerEngine('cpu') };
});
afterAll(async () => {
  await engines.compiled.close();
  await engines.eager.close();
});

const load = async (program: Program): Promise<Pair> => ({
  compiled: await engines.compiled.load(program),
  eager: await engines.eager.load(program),
});

/** Largest disagreement of gradients over steps that both engines start from one state; the compiled engine walks on, being quicker. */
async function gradientDisagreement(plan: Plan, steps: number, scale = 1): Promise<number> {
  const [program, step] = [gradientProgram(plan), trainProgram(plan)];
  const gradients = await load(program);
  const walker = await engines.compiled.load(step);
  await walker.set(initialState(plan, modelOf(plan).init(7)));
  let worst = 0;
  for (let i = 0; i < steps; i++) {
    const feeds = feedsOf(plan, i);
    const state = await walker.get(stateNames(step));
    const given = pick(program, { ...state, ...feeds });
    const [a, b] = [await gradients.eager.run(given), await gradients.compiled.run(given)];
    const [first, ...rest] = Object.entries(grads(b)).sort(([, x], [, y]) => largest(y) - largest(x));
    const scaled = float32(
      first![1].shape,
      Float32Array.from(first![1].data, (x) => x * scale),
    );
    worst = Math.max(worst, disagreement(grads(a), Object.fromEntries([[first![0], scaled], ...rest])));
    await walker.run(pick(step, feeds));
  }
  return worst;
}

describe.each(CASES)('$pretext with $encoder', (entry) => {
  const plan = planOf(entry);

  it(
    `has the eager engine's gradients at each of ${STEPS} steps`,
    async () => {
      expect(await gradientDisagreement(plan, STEPS)).toBeLessThan(1e-4);
    },
    PATIENCE_MS,
  );

  it('would notice a gradient scaled by 1.01', async () => {
    expect(await gradientDisagreement(plan, 1, 1.01)).toBeGreaterThan(1e-3);
  });

  it(
    'stays with the eager engine over 50 free steps of SGD',
    async () => {
      const program = trainProgram(plan);
      const pair = await load(program);
      for (const executable of [pair.compiled, pair.eager])
        await executable.set(initialState(plan, modelOf(plan).init(3)));
      for (let i = 0; i < STEPS; i++) {
        const feeds = pick(program, feedsOf(plan, i));
        await pair.compiled.run(feeds);
        await pair.eager.run(feeds);
      }
      const names = stateNames(program).filter((name) => name.startsWith('params/'));
      const [a, b] = [await pair.eager.get(names), await pair.compiled.get(names)];
      expect(disagreement(a, b)).toBeLessThan(1e-3);
    },
    PATIENCE_MS,
  );
});

describe('training', () => {
  it('takes Adam with a clipped gradient', async () => {
    const optimiser = { name: 'adam', learningRate: 0.001, weightDecay: 0.01 };
    const plan = planOf({ encoder: 'mlp', pretext: 'spectral', optimiser });
    const clipped: Plan = { ...plan, training: { ...plan.training, clipGradient: 0.1 } };
    const program = trainProgram(clipped);
    const pair = await load(program);
    for (const executable of [pair.compiled, pair.eager])
      await executable.set(initialState(clipped, modelOf(clipped).init(3)));
    for (let i = 0; i < 5; i++) {
      const feeds = pick(program, feedsOf(clipped, i));
      const [a, b] = [await pair.eager.run(feeds), await pair.compiled.run(feeds)];
      expect(b['metrics/loss']!.data[0]).toBeCloseTo(a['metrics/loss']!.data[0]!, 3);
    }
    const names = stateNames(program);
    expect(disagreement(await pair.eager.get(names), await pair.compiled.get(names))).toBeLessThan(1e-3);
  });

  it('gives the same bits when repeated', async () => {
    const plan = planOf({ encoder: 'conv', pretext: 'simclr' });
    const program = trainProgram(plan);
    const run = async (): Promise<NamedArrays> => {
      const engine = await compiledEngine({ threads: 2 });
      const executable = await engine.load(program);
      await executable.set(initialState(plan, modelOf(plan).init(3)));
      for (let i = 0; i < 5; i++) await executable.run(pick(program, feedsOf(plan, i)));
      const state = await executable.get(stateNames(program));
      await engine.close();
      return state;
    };
    expect(await run()).toEqual(await run());
  });

  it('refuses feeds of another shape, unknown names and missing inputs', async () => {
    const plan = planOf({ encoder: 'mlp', pretext: 'spectral' });
    const executable = await engines.compiled.load(trainProgram(plan));
    const refused = { code: 'weights/mismatch' };
    await expect(executable.set(under('scalars', { nothing: scalar(1) }))).rejects.toMatchObject(refused);
    await expect(executable.run({ 'batch/images': float32([2, 2]) })).rejects.toMatchObject(refused);
    await expect(executable.run(feedsOf(plan, 0))).rejects.toMatchObject(refused);
  });
});
