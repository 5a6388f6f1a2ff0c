import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { eagerEngine } from '../../../../../learning/engine/eager.ts';
import type { Engine, Program } from '../../../../../learning/engine/engine.ts';
import { modelOf } from '../../../../../learning/model.ts';
import { drawStep, initialState, scalarsAt, trainProgram } from '../../../../../learning/train-step.ts';
import { stream } from '../../../../../protocol/random.ts';
import { float32, scalar } from '../../../../../protocol/tensors.ts';
import { BACKENDS } from '../../ops/gradients.ts';
import { planOf, TINY } from '../../plans.ts';

const MIB = 2 ** 20;

/** Trains for `steps` steps and returns how to go on. */
async function trainer(engine: Engine, options: object) {
  const plan = planOf({
    ...options,
    training: { batch: 16, clipGradient: 1 },
    data: { shape: [8, 8, 1] },
    augmentation: { name: 'image', crop: [0.5, 1], rotateDegrees: 15, contrast: 0.3, erase: { probability: 0.3 } },
  });
  const executable = await engine.load(trainProgram(plan));
  await executable.set(initialState(plan, modelOf(plan).init(1)));
  const rng = stream(1, 'steps');
  const images = float32(
    [16, 8, 8, 1],
    Float32Array.from({ length: 1024 }, () => rng.next()),
  );
  return {
    executable,
    run: async (steps: number): Promise<void> => {
      for (let i = 0; i < steps; i++)
        await executable.run({ 'batch/images': images, ...drawStep(plan, rng), ...scalarsAt(plan, 0) });
    },
  };
}

describe.each(BACKENDS)('memory of the eager engine on %s', (backend) => {
  it.each([
    ['mlp', 'spectral'],
    ['conv', 'simclr'],
  ] as const)('%s, %s: as many tensors after any number of steps, none after dispose', async (encoder, task) => {
    const engine = await eagerEngine(backend);
    const before = tf.memory().numTensors;
    const { executable, run } = await trainer(engine, { ...TINY[encoder], ...TINY[task] });
    const held = tf.memory().numTensors;
    await run(1);
    expect(tf.memory().numTensors).toBe(held);
    await run(9);
    expect(tf.memory().numTensors).toBe(held);
    expect(tf.memory().numBytes).toBeLessThan(MIB);
    executable.dispose();
    expect(tf.memory().numTensors).toBe(before);
    await engine.close();
  });

  it('a program that throws leaves no tensors behind', async () => {
    const engine = await eagerEngine(backend);
    const before = tf.memory().numTensors;
    const failing: Program = {
      name: 'test:failing',
      inputs: { x: { shape: [], dtype: 'float32' } },
      run: (nn, inputs) => {
        nn.tf.add(inputs.x!, 1);
        throw new Error('broken on purpose');
      },
    };
    const executable = await engine.load(failing);
    await expect(executable.run({ x: scalar(1) })).rejects.toThrow('broken on purpose');
    expect(tf.memory().numTensors).toBe(before);
    const { run } = await trainer(engine, TINY.mlp);
    await run(1);
    await engine.close();
    expect(tf.memory().numTensors).toBe(before);
  });
});

// a step that leaked its state of 530 kB once would grow by 130 MiB
it('resident memory stays bounded over a few hundred steps', { timeout: 120_000 }, async () => {
  const engine = await eagerEngine('wasm');
  const { run } = await trainer(engine, { encoder: { name: 'mlp', hidden: [128, 96], dim: 64 } });
  await run(100);
  const before = process.memoryUsage().rss;
  await run(250);
  expect((process.memoryUsage().rss - before) / MIB).toBeLessThan(64);
  await engine.close();
});

it('engines of two backends live side by side', async () => {
  const [wasm, cpu] = [await eagerEngine('wasm'), await eagerEngine('cpu')];
  const double: Program = {
    name: 'test:double',
    inputs: { x: { shape: [2], dtype: 'float32' }, 'state/w': { shape: [2], dtype: 'float32' } },
    run: (nn, { x, 'state/w': w }) => {
      expect(nn.tf.getBackend()).toBe(current);
      return { 'state/w': nn.tf.mul(w!, 2), y: nn.tf.mul(x!, w!) };
    },
  };
  let current = '';
  const executables = { wasm: await wasm.load(double), cpu: await cpu.load(double) };
  for (const executable of Object.values(executables))
    await executable.set({ 'state/w': float32([2], Float32Array.of(1, 3)) });
  for (let i = 0; i < 4; i++)
    for (const backend of ['wasm', 'cpu'] as const) {
      current = backend;
      const { y } = await executables[backend].run({ x: float32([2], Float32Array.of(1, 1)) });
      expect(Array.from(y!.data)).toEqual([2 ** i, 3 * 2 ** i]);
    }
  await Promise.all([wasm.close(), cpu.close()]);
});
