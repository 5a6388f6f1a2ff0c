/** The engine over our own kernels: the contract, whole training steps against ONNX Runtime, and what it keeps and hands on. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { compiledEngine } from '../../../../../learning/engine/compiled.ts';
import type { Engine, Program } from '../../../../../learning/engine/engine.ts';
import { hasRelaxedSimd } from '../../../../../learning/engine/wasm/support.ts';
import { ALONE } from '../../../../../learning/engine/wasm/team.ts';
import { wasmEngine } from '../../../../../learning/engine/wasm/wasm-engine.ts';
import { modelOf } from '../../../../../learning/model.ts';
import { gradientProgram, initialState, stateNames, trainProgram } from '../../../../../learning/train-step.ts';
import { float32, type NamedArrays, scalar } from '../../../../../protocol/tensors.ts';
import { engineContract } from '../../../../contract/engine.ts';
import { CASES, feedsOf, planOf } from '../compiled/plans.ts';
import { nodeTeam } from './run-module.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

/** Compiling takes some tenths of a second for a deep encoder; a busy machine may stand still for much longer. */
const PATIENCE_MS = 120_000;

const refuse = async (program: Program, reason: string): Promise<never> => {
  throw new Error(`${program.name} is not covered: ${reason}`);
};
const ours = (): Engine => wasmEngine({ team: ALONE, relaxed: hasRelaxedSimd(), otherwise: refuse });

engineContract('compiled:wasm, kernels of our own', async () => ours());
engineContract('compiled:wasm, on two threads', async () =>
  wasmEngine({ team: await nodeTeam(2), relaxed: hasRelaxedSimd(), otherwise: refuse }),
);

const pick = (program: Program, arrays: NamedArrays): NamedArrays =>
  Object.fromEntries(Object.entries(arrays).filter(([name]) => program.inputs[name]));
const largest = (data: ArrayLike<number>): number => Math.max(...Array.from(data, Math.abs));

describe('training steps on our own kernels', () => {
  let engines: { native: Engine; ours: Engine };
  beforeAll(async () => {
    engines = { native: await compiledEngine({ provider: 'cpu' }), ours: ours() };
  });
  afterAll(async () => {
    await engines.native.close();
    await engines.ours.close();
  });

  /** The largest difference of gradients, relative to a tensor's largest element or a fifth of the largest of all. */
  async function disagreement(entry: (typeof CASES)[number], scale = 1): Promise<number> {
    const plan = planOf(entry);
    const [step, gradient] = [trainProgram(plan), gradientProgram(plan)];
    const walker = await engines.ours.load(step);
    const [a, b] = [await engines.native.load(gradient), await engines.ours.load(gradient)];
    await walker.set(initialState(plan, modelOf(plan).init(7)));
    let worst = 0;
    for (let i = 0; i < 6; i++) {
      const feeds = feedsOf(plan, i);
      const given = pick(gradient, { ...(await walker.get(stateNames(step))), ...feeds });
      const [expected, found] = [await a.run(given), await b.run(given)];
      const floor = Math.max(...Object.values(expected).map(({ data }) => largest(data))) / 5;
      for (const [name, { data }] of Object.entries(expected)) {
        const off = largest(Array.from(data, (x: number, k: number) => x - scale * found[name]!.data[k]!));
        worst = Math.max(worst, off / Math.max(floor, largest(data)));
      }
      await walker.run(pick(step, feeds));
    }
    for (const executable of [walker, a, b]) executable.dispose();
    return worst;
  }

  it.each(CASES)(
    'of $pretext with $encoder have the native engine’s gradients',
    async (entry) => {
      expect(await disagreement(entry)).toBeLessThan(1e-4);
    },
    PATIENCE_MS,
  );

  it('would not pass with a gradient scaled by 1.01', async () => {
    expect(await disagreement(CASES[0]!, 1.01)).toBeGreaterThan(1e-3);
  });

  it('stay with the native engine over 20 steps of Adam', async () => {
    const plan = planOf({ encoder: 'conv', pretext: 'spectral', optimiser: { name: 'adam', learningRate: 1e-3 } });
    const program = trainProgram(plan);
    const pair = [await engines.native.load(program), await engines.ours.load(program)] as const;
    const losses: number[][] = [[], []];
    for (const [k, executable] of pair.entries()) {
      await executable.set(initialState(plan, modelOf(plan).init(3)));
      for (let i = 0; i < 20; i++)
        losses[k]!.push((await executable.run(pick(program, feedsOf(plan, i))))['metrics/loss']!.data[0]!);
    }
    losses[0]!.forEach((loss, i) => {
      expect(Math.abs(loss - losses[1]![i]!)).toBeLessThan(1e-3 * Math.abs(loss));
    });
  });
});

/** a and b change places; the sum of before is returned. */
const swap: Program = {
  name: 'test:swap',
  inputs: { a: { shape: [5], dtype: 'float32' }, b: { shape: [5], dtype: 'float32' } },
  run: ({ tf }, { a, b }) => ({ a: b!, b: tf.mul(a!, 2), sum: tf.add(a!, b!) }),
};

const uncovered: Program = {
  name: 'test:sine',
  inputs: { x: { shape: [2], dtype: 'float32' } },
  run: ({ tf }, { x }) => ({ y: tf.sin(x!) }),
};

describe('what the engine keeps', () => {
  it('carries outputs that are made from one another’s inputs', async () => {
    const engine = ours();
    const executable = await engine.load(swap);
    const five = (start: number) =>
      float32(
        [5],
        Float32Array.from({ length: 5 }, (_, i) => start + i),
      );
    await executable.set({ a: five(0), b: five(10) });
    expect([...(await executable.run({})).sum!.data]).toEqual([10, 12, 14, 16, 18]);
    const { a, b } = await executable.get(['a', 'b']);
    expect([[...a!.data], [...b!.data]]).toEqual([
      [10, 11, 12, 13, 14],
      [0, 2, 4, 6, 8],
    ]);
    await engine.close();
  });

  it('is one module for a program, and one memory for executables that follow one another', async () => {
    const [compile, instances] = [vi.spyOn(WebAssembly, 'compile'), vi.spyOn(WebAssembly, 'instantiate')];
    const engine = ours();
    for (let i = 0; i < 4; i++) {
      const executable = await engine.load(swap);
      await expect(executable.run({})).rejects.toMatchObject({ code: 'weights/mismatch' });
      await executable.set({ a: float32([5]), b: float32([5]) });
      await executable.run({});
      executable.dispose();
      await expect(executable.run({})).rejects.toThrow('disposed');
    }
    expect([compile.mock.calls.length, instances.mock.calls.length]).toEqual([1, 1]);
    const both = [await engine.load(swap), await engine.load(swap)];
    expect(instances.mock.calls.length).toBe(2);
    await engine.close();
    await expect(both[0]!.set({ a: float32([5]) })).rejects.toThrow('disposed');
  });

  it('keeps two memories for all programs together, and frees the others', async () => {
    const detached: number[] = [];
    let attached = 0;
    const team = {
      threads: 1,
      attach: async () => {
        const id = attached++;
        return { run: () => {}, detach: () => void detached.push(id) };
      },
      close: () => {},
    };
    const engine = wasmEngine({ team, relaxed: false, otherwise: refuse });
    const executables = await Promise.all(
      Array.from({ length: 4 }, (_, i) => engine.load({ ...swap, name: `test:swap-${i}` })),
    );
    for (const executable of executables) executable.dispose();
    expect(detached).toHaveLength(2);
    await engine.close();
    expect([...detached].sort()).toEqual([0, 1, 2, 3]);
  });

  it('hands on what it has no kernel for, with the reason', async () => {
    const asked: string[] = [];
    const native = await compiledEngine({ provider: 'cpu' });
    const engine = wasmEngine({
      ...{ team: ALONE, relaxed: false },
      otherwise: (program, reason) => {
        asked.push(reason);
        return native.load(program);
      },
    });
    const executable = await engine.load(uncovered);
    const { y } = await executable.run({ x: float32([2], Float32Array.of(0, 1)) });
    expect(y!.data[1]).toBeCloseTo(Math.sin(1), 6);
    expect(asked).toEqual(['Sin of float32']);
    await engine.close();
    await native.close();
  });

  it('hands on programs with tensors that have no elements', async () => {
    const none: Program = {
      name: 'test:none',
      inputs: { x: { shape: [2, 3], dtype: 'float32' } },
      run: ({ tf }, { x }) => ({ y: tf.add(tf.slice(x!, [0, 0], [0, 3]), 1) }),
    };
    const engine = ours();
    await expect(engine.load(none)).rejects.toThrow('not covered: tensors without elements');
    await engine.close();
  });

  it('feeds a held input for one run only', async () => {
    const program: Program = {
      name: 'test:held',
      inputs: { 'frozen/w': { shape: [], dtype: 'float32' }, x: { shape: [], dtype: 'float32' } },
      run: ({ tf }, inputs) => ({ y: tf.mul(inputs['frozen/w']!, inputs.x!) }),
    };
    const engine = ours();
    const executable = await engine.load(program);
    await executable.set({ 'frozen/w': scalar(3) });
    expect((await executable.run({ 'frozen/w': scalar(5), x: scalar(2) })).y!.data[0]).toBe(10);
    expect((await executable.run({ x: scalar(2) })).y!.data[0]).toBe(6);
    await engine.close();
  });
});
