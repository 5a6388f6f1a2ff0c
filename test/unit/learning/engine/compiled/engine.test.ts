/** What the compiled engine keeps and frees, symbolic batches, and the explanation of a program. */
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { compiledEngine } from '../../../../../learning/engine/compiled.ts';
import { explainProgram } from '../../../../../learning/engine/compiled-explain.ts';
import { symbolicExecutable } from '../../../../../learning/engine/compiled-symbolic.ts';
import { eagerEngine } from '../../../../../learning/engine/eager.ts';
import type { Engine, Program } from '../../../../../learning/engine/engine.ts';
import { modelOf } from '../../../../../learning/model.ts';
import { encodeProgram, initialState, stateNames, trainProgram } from '../../../../../learning/train-step.ts';
import { stream } from '../../../../../protocol/random.ts';
import { float32, sizeOf } from '../../../../../protocol/tensors.ts';
import { feedsOf, planOf } from './plans.ts';

let compiled: Engine;
beforeAll(async () => {
  compiled = await compiledEngine();
});
afterAll(() => compiled.close());

/** Adds x to a sum that is carried, and returns twice the sum. */
const counter: Program = {
  name: 'counter',
  inputs: { sum: { shape: [2], dtype: 'float32' }, x: { shape: [2], dtype: 'float32' } },
  run: ({ tf }, { sum, x }) => {
    const next = tf.add(sum!, x!);
    return { sum: next, twice: tf.mul(next, 2) };
  },
};

describe('an executable', () => {
  it('carries state from run to run, and gives copies of it', async () => {
    const executable = await compiled.load(counter);
    const start = float32([2], Float32Array.of(1, 2));
    await executable.set({ sum: start });
    for (let i = 1; i <= 3; i++) {
      const results = await executable.run({ x: float32([2], Float32Array.of(10, 20)) });
      expect(Object.keys(results)).toEqual(['twice']);
      expect([...results.twice!.data]).toEqual([2 * (1 + 10 * i), 2 * (2 + 20 * i)]);
    }
    const { sum } = await executable.get(['sum']);
    sum!.data.fill(0);
    expect([...(await executable.get(['sum'])).sum!.data]).toEqual([31, 62]);
    expect([...start.data]).toEqual([1, 2]);
    executable.dispose();
    await expect(executable.run({ x: start })).rejects.toThrow('disposed');
  });

  it('does not share state with another of the same program', async () => {
    const [a, b] = [await compiled.load(counter), await compiled.load(counter)];
    const x = float32([2], Float32Array.of(1, 1));
    await a.set({ sum: float32([2]) });
    await b.set({ sum: float32([2], Float32Array.of(5, 5)) });
    await a.run({ x });
    expect([...(await b.get(['sum'])).sum!.data]).toEqual([5, 5]);
  });

  it('takes inputs that are passed through', async () => {
    const same: Program = { ...counter, name: 'same', run: (_, { sum, x }) => ({ sum: x!, old: sum! }) };
    const executable = await compiled.load(same);
    await executable.set({ sum: float32([2]) });
    await executable.run({ x: float32([2], Float32Array.of(3, 4)) });
    const { old } = await executable.run({ x: float32([2]) });
    expect([...old!.data]).toEqual([3, 4]);
  });
});

describe('a symbolic batch', () => {
  it('takes any size, with the numbers of the eager engine', async () => {
    const plan = planOf({ encoder: 'conv', pretext: 'spectral' });
    const program = encodeProgram(plan);
    const params = Object.fromEntries(
      Object.entries(modelOf(plan).init(5))
        .map(([name, array]) => [`params/${name}`, array] as const)
        .filter(([name]) => program.inputs[name]),
    );
    const eager = await eagerEngine('cpu');
    const pair = [await compiled.load(program), await eager.load(program)] as const;
    for (const executable of pair) await executable.set(params);
    for (const batch of [3, 1, 3]) {
      const shape = [batch, ...plan.data.shape];
      const rng = stream(batch, 'images');
      const images = float32(
        shape,
        Float32Array.from({ length: sizeOf(shape) }, () => rng.next()),
      );
      const [a, b] = [await pair[0].run({ images }), await pair[1].run({ images })];
      expect(a.embeddings!.shape).toEqual(b.embeddings!.shape);
      b.embeddings!.data.forEach((x: number, i: number) => {
        expect(a.embeddings!.data[i]).toBeCloseTo(x, 4);
      });
    }
    await eager.close();
  });

  it('of a size that could not be loaded is loaded when it comes again', async () => {
    const double: Program = {
      name: 'double',
      inputs: { x: { shape: [-1], dtype: 'float32' } },
      run: ({ tf }, { x }) => ({ y: tf.mul(x!, 2) }),
    };
    let loads = 0;
    const executable = symbolicExecutable(double, async (sized) => {
      loads += 1;
      if (loads !== 2) throw new RangeError(`no memory for ${sized.inputs.x!.shape}`);
      return compiled.load(sized);
    });
    const run = async () => (await executable.run({ x: float32([2], Float32Array.of(3, 4)) })).y!.data;
    await expect(run()).rejects.toThrow('no memory for 2');
    expect([...(await run())]).toEqual([6, 8]);
    await expect(executable.run({ x: float32([1]) })).rejects.toThrow('no memory for 1');
    executable.dispose();
  });
});

describe('the engine', () => {
  it('trains the same in parts of the batch on two threads', async () => {
    const plan = planOf({ encoder: 'conv', pretext: 'simclr' });
    const program = trainProgram(plan);
    const split = await compiledEngine({ threads: 2, parts: 3 });
    const pair = [await compiled.load(program), await split.load(program)] as const;
    for (const executable of pair) {
      await executable.set(initialState(plan, modelOf(plan).init(3)));
      for (let i = 0; i < 3; i++)
        await executable.run(Object.fromEntries(Object.entries(feedsOf(plan, i)).filter(([n]) => program.inputs[n])));
    }
    const [a, b] = [await pair[0].get(stateNames(program)), await pair[1].get(stateNames(program))];
    for (const [name, array] of Object.entries(a))
      array.data.forEach((x: number, i: number) => {
        expect(b[name]!.data[i]).toBeCloseTo(x, 4);
      });
    await split.close();
  });
});

describe('sessions', () => {
  /** Counts the sessions of ONNX Runtime that are made and given back while `body` runs. */
  async function counted(body: () => Promise<void>): Promise<{ made: number; released: number }> {
    const counts = { made: 0, released: 0 };
    const create = ort.InferenceSession.create.bind(ort.InferenceSession);
    const spy = vi.spyOn(ort.InferenceSession, 'create').mockImplementation(async (...given: unknown[]) => {
      const session = await (create as (...args: unknown[]) => Promise<ort.InferenceSession>)(...given);
      const release = session.release.bind(session);
      session.release = async () => {
        counts.released += 1;
        await release();
      };
      counts.made += 1;
      return session;
    });
    try {
      await body();
    } finally {
      spy.mockRestore();
    }
    return counts;
  }
  const x = float32([2], Float32Array.of(1, 2));

  it('are one for each graph, however often its program is loaded; closing frees them', async () => {
    const engine = await compiledEngine();
    const other: Program = { ...counter, name: 'other', run: ({ tf }, { sum }) => ({ double: tf.mul(sum!, 3) }) };
    const counts = await counted(async () => {
      const loaded = await Promise.all([engine.load(counter), engine.load(counter), engine.load(other)]);
      (await engine.load(counter)).dispose();
      for (const executable of loaded) {
        await executable.set({ sum: x });
        await executable.run({ x });
      }
      await engine.close();
      await expect(loaded[0]!.run({ x })).rejects.toThrow('disposed');
    });
    expect(counts).toEqual({ made: 2, released: 2 });
  });

  it('of a symbolic batch are one for each size that is met', async () => {
    const plan = planOf({ encoder: 'mlp', pretext: 'spectral' });
    const program = encodeProgram(plan);
    const engine = await compiledEngine();
    const counts = await counted(async () => {
      const executable = await engine.load(program);
      const weights = modelOf(plan).init(1);
      const params = Object.keys(program.inputs).filter((name) => name.startsWith('params/'));
      await executable.set(Object.fromEntries(params.map((name) => [name, weights[name.slice('params/'.length)]!])));
      for (const batch of [2, 3, 2, 3, 2]) await executable.run({ images: float32([batch, ...plan.data.shape]) });
      await engine.close();
    });
    expect(counts).toEqual({ made: 2, released: 2 });
  });
});

describe('explainProgram', () => {
  it('counts the nodes and finds where the time of a step goes', async () => {
    const plan = planOf({ encoder: 'conv', pretext: 'simclr' });
    const program = trainProgram(plan);
    const feeds = { ...initialState(plan, modelOf(plan).init(3)), ...feedsOf(plan, 0) };
    const explanation = await explainProgram(program, { feeds, runs: 2 });
    const counted = Object.values(explanation.operators).reduce((sum, count) => sum + count);
    expect(counted).toBe(explanation.nodes);
    expect(explanation.operators.Conv).toBeGreaterThan(1);
    expect(explanation.profile.map(({ operator }) => operator)).toContain('Conv');
    expect((await explainProgram(program)).profile).toEqual([]);
  });
});
