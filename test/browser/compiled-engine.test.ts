/** The compiled engine in a real browser: the contract, the eager engine's numbers, what it frees, and what happens without it. */
import * as ort from 'onnxruntime-web/wasm';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { compiledEngine } from '../../learning/engine/compiled-web.ts';
import { eagerEngine } from '../../learning/engine/eager.ts';
import type { Engine, Program } from '../../learning/engine/engine.ts';
import { createEngine } from '../../learning/engine/select.ts';
import { faultIn } from '../../learning/engine/web-probe.ts';
import { modelOf } from '../../learning/model.ts';
import { createBrowserPool } from '../../learning/pool/browser-pool.ts';
import { initialState, stateNames, trainProgram } from '../../learning/train-step.ts';
import { float32, type NamedArrays, scalar } from '../../protocol/tensors.ts';
import { engineContract } from '../contract/engine.ts';
import { feedsOf, planOf } from '../unit/learning/engine/compiled/plans.ts';
import { tinyPlan, trainInput } from '../unit/learning/pool/tiny.ts';

/** Where the test's server has the packages' files. */
const runtimePath = '/node_modules/onnxruntime-web/dist/';
const wasmPath = '/node_modules/@tensorflow/tfjs-backend-wasm/dist/';

afterEach(() => {
  vi.restoreAllMocks();
});

engineContract('compiled:wasm', () => compiledEngine({ runtimePath }));

const pick = (inputs: object, arrays: NamedArrays): NamedArrays =>
  Object.fromEntries(Object.entries(arrays).filter(([name]) => name in inputs));

const largest = (data: ArrayLike<number>): number => Math.max(...Array.from(data, Math.abs));

describe('training steps in a browser', () => {
  let engines: { compiled: Engine; eager: Engine };
  beforeAll(async () => {
    engines = { compiled: await compiledEngine({ runtimePath }), eager: await eagerEngine('cpu') };
  });
  afterAll(async () => {
    await engines.compiled.close();
    await engines.eager.close();
  });

  it.each([
    ['mlp', 'spectral'],
    ['conv', 'simclr'],
  ] as const)('of %s and %s are the eager engine’s, step for step', async (encoder, pretext) => {
    const plan = planOf({ encoder, pretext });
    const program = trainProgram(plan);
    const [compiled, eager] = [await engines.compiled.load(program), await engines.eager.load(program)];
    for (const executable of [compiled, eager]) await executable.set(initialState(plan, modelOf(plan).init(3)));
    for (let i = 0; i < 8; i++) {
      const feeds = pick(program.inputs, feedsOf(plan, i));
      const [a, b] = [await eager.run(feeds), await compiled.run(feeds)];
      expect(b['metrics/loss']!.data[0]).toBeCloseTo(a['metrics/loss']!.data[0]!, 4);
    }
    const [a, b] = [await eager.get(stateNames(program)), await compiled.get(stateNames(program))];
    const scale = largest(Object.values(a).map(({ data }) => largest(data)));
    for (const [name, { data }] of Object.entries(a)) {
      const off = largest(Array.from(data, (x: number, i: number) => x - b[name]!.data[i]!));
      expect(off / Math.max(largest(data), scale / 100), name).toBeLessThan(1e-3);
    }
    compiled.dispose();
    eager.dispose();
  });
});

/** Adds a million numbers, which the graph holds, to the cosine of one that is given: for onnxruntime-web, as our kernels have no cosine. */
const heavy = (engine: number): Program => ({
  name: `test:heavy-${engine}`,
  inputs: { x: { shape: [], dtype: 'float32' } },
  run: ({ tf }, { x }) => {
    const held = tf.tensor1d(Float32Array.from({ length: 2 ** 20 }, (_, i) => i + engine));
    return { y: tf.max(tf.add(held, tf.cos(x!))) };
  },
});

describe('what onnxruntime-web keeps of programs that our kernels do not cover', () => {
  it('is given back when it is closed: engines one after another need no more memory', async () => {
    const seen = new Set<ArrayBufferLike>();
    const { set } = Uint8Array.prototype;
    // the runtime copies what it is fed into its own memory, which grows but never shrinks
    vi.spyOn(Uint8Array.prototype, 'set').mockImplementation(function (this: Uint8Array, from, at) {
      if (this.byteLength > 2 ** 24) seen.add(this.buffer);
      set.call(this, from, at);
    });
    const memoryAfter = async (index: number): Promise<number> => {
      seen.clear();
      const engine = await compiledEngine({ runtimePath });
      const executable = await engine.load(heavy(index));
      expect((await executable.run({ x: scalar(0) })).y!.data[0]).toBe(2 ** 20 + index);
      await engine.close();
      await expect(executable.run({ x: scalar(1) })).rejects.toThrow('disposed');
      return Math.max(...Array.from(seen, ({ byteLength }) => byteLength));
    };
    await memoryAfter(0);
    const before = await memoryAfter(1);
    expect(before).toBeGreaterThan(2 ** 24);
    let after = before;
    for (let index = 2; index < 8; index++) after = await memoryAfter(index);
    expect(after - before).toBeLessThan(2 ** 23);
  });

  it('is one session for programs of one graph, made once', async () => {
    const engine = await compiledEngine({ runtimePath });
    expect(engine.note).not.toContain('onnxruntime-web');
    await engine.load(heavy(8));
    expect(engine.note).toMatch(/; onnxruntime-web, since they have no Cos of float32$/);
    const create = vi.spyOn(ort.InferenceSession, 'create');
    for (let i = 0; i < 3; i++) await engine.load(heavy(9));
    expect(create).toHaveBeenCalledTimes(1);
    await engine.close();
  });
});

/** A sum that is carried from run to run. */
const running: Program = {
  name: 'test:running',
  inputs: { total: { shape: [3], dtype: 'float32' }, x: { shape: [3], dtype: 'float32' } },
  run: ({ tf }, { total, x }) => {
    const next = tf.add(total!, x!);
    return { total: next, last: tf.mul(next, 1) };
  },
};

describe('WebGPU', () => {
  it('is used by itself only with a graphics adapter; a software adapter has to be asked for, and then keeps state from run to run', async () => {
    const { gpu } = navigator as {
      gpu?: { requestAdapter(): Promise<{ info: { isFallbackAdapter: boolean } } | null> };
    };
    const adapter = await gpu?.requestAdapter();
    const byItself = await compiledEngine({ runtimePath });
    expect(byItself.name).toBe(adapter && !adapter.info.isFallbackAdapter ? 'compiled:webgpu' : 'compiled:wasm');
    const anyAdapter = await compiledEngine({ runtimePath, gpu: 'any' });
    expect(anyAdapter.name).toBe(adapter ? 'compiled:webgpu' : 'compiled:wasm');
    const executable = await anyAdapter.load(running);
    await executable.set({ total: float32([3], Float32Array.of(0, 10, 20)) });
    const x = float32([3], Float32Array.of(1, 2, 3));
    for (let i = 1; i <= 3; i++)
      expect([...(await executable.run({ x })).last!.data]).toEqual([i, 10 + 2 * i, 20 + 3 * i]);
    expect([...(await executable.get(['total'])).total!.data]).toEqual([3, 16, 29]);
    await executable.set({ total: float32([3]) });
    expect([...(await executable.run({ x })).last!.data]).toEqual([1, 2, 3]);
    await byItself.close();
    await anyAdapter.close();
  }, 120_000);

  it('is not used when its numbers are not those of WebAssembly', async () => {
    const results: NamedArrays = { grad: float32([2], Float32Array.of(1, -2)) };
    expect(faultIn(results, results)).toBeUndefined();
    expect(faultIn({ grad: float32([2], Float32Array.of(1, -2.01)) }, results)).toContain('grad is off by 0.005');
    expect(faultIn({ grad: float32([2], Float32Array.of(1, Number.NaN)) }, results)).toBe('grad is not finite');
  });
});

describe('the choice of an engine in a browser', () => {
  it('is the compiled one, and says how it runs', async () => {
    const { engine, reason } = await createEngine('auto', { runtimePath, wasmPath });
    expect(engine.name).toBe('compiled:wasm');
    expect(reason).toMatch(
      /^the fastest that runs here; WebAssembly on one thread, since this page is not cross-origin isolated; .*WebGPU.*; kernels with fused multiply-add$/,
    );
    await engine.close();
  });

  it('falls back to tfjs without SIMD', async () => {
    vi.spyOn(WebAssembly, 'validate').mockReturnValue(false);
    const { engine, reason } = await createEngine('auto', { runtimePath, wasmPath });
    expect(engine.name).toMatch(/^eager:/);
    expect(reason).toContain("the compiled engine failed: this browser's WebAssembly has no SIMD");
    await engine.close();
    await expect(createEngine('compiled', { runtimePath })).rejects.toMatchObject({ code: 'engine/unavailable' });
  });

  it('falls back to tfjs when a real step cannot be had, from the same state, and says so', async () => {
    const selected = await createEngine('auto', { runtimePath, wasmPath });
    const { engine } = selected;
    expect(engine.name).toBe('compiled:wasm');
    vi.spyOn(WebAssembly, 'instantiate').mockRejectedValueOnce(new RangeError('could not allocate memory'));
    const executable = await engine.load(running);
    await executable.set({ total: float32([3], Float32Array.of(1, 1, 1)) });
    expect([...(await executable.run({ x: float32([3], Float32Array.of(1, 2, 3)) })).last!.data]).toEqual([2, 3, 4]);
    expect(engine.name).toBe('eager:wasm');
    expect(selected.reason).toBe(
      'WebAssembly, operation by operation; the compiled engine failed: could not allocate memory',
    );
    await engine.close();
  });

  it('needs no file of onnxruntime-web for what its own kernels cover, and says so where it does', async () => {
    const pool = await createBrowserPool({ engineOptions: { runtimePath: '/nowhere/', wasmPath } });
    try {
      expect(pool.engine).toBe('compiled:wasm');
      expect((await pool.run('train', trainInput(tinyPlan()))).delta.some((v) => v !== 0)).toBe(true);
    } finally {
      await pool.close();
    }
  });

  it('multiplies and adds in two steps where a browser cannot do it in one', async () => {
    const { validate } = WebAssembly;
    // the first question is for SIMD, the second for its relaxed part
    vi.spyOn(WebAssembly, 'validate').mockImplementationOnce(validate).mockReturnValueOnce(false);
    const engine = await compiledEngine({ runtimePath, gpu: 'never' });
    expect(engine.note).toContain('kernels without fused multiply-add');
    const executable = await engine.load(running);
    await executable.set({ total: float32([3]) });
    const { last } = await executable.run({ x: float32([3], Float32Array.of(1, 2, 3)) });
    expect([...last!.data]).toEqual([1, 2, 3]);
    await engine.close();
  });

  it('trains compiled in the worker, with the numbers of the eager engine', async () => {
    const input = trainInput(tinyPlan());
    const results = [];
    for (const engine of ['compiled', 'eager:cpu'] as const) {
      const pool = await createBrowserPool({ engine, engineOptions: { runtimePath } });
      results.push((await pool.run('train', input)).delta);
      await pool.close();
    }
    const [compiled, eager] = results as [Float32Array, Float32Array];
    const scale = largest(eager);
    expect(scale).toBeGreaterThan(0);
    expect(largest(eager.map((v, i) => v - compiled[i]!))).toBeLessThan(1e-3 * scale);
  }, 60_000);
});
