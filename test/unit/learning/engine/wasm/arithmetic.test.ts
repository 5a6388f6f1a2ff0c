/** The series of arithmetic.ts against JavaScript's own functions, and what they do at the ends of the numbers. */
import { describe, expect, it } from 'vitest';
import { float32Type, graphBuilder } from '../../../../../learning/engine/onnx/graph.ts';
import { instantiate } from '../../../../../learning/engine/wasm/executable.ts';
import { compileModule } from '../../../../../learning/engine/wasm/module.ts';
import { ALONE } from '../../../../../learning/engine/wasm/team.ts';

/** An operator over these numbers. */
async function apply(op: string, values: readonly number[], attributes = {}): Promise<Float32Array> {
  const g = graphBuilder(op);
  const x = g.input('x', float32Type([values.length]));
  const graph = g.finish([{ name: 'y', value: g.node(op, [x], float32Type([values.length]), attributes) }]);
  const layout = compileModule(graph, { threads: 1, relaxed: false, sleeps: true });
  const module = await WebAssembly.compile(layout.bytes);
  const { floats, run } = await instantiate({ layout, module, outputs: {} }, ALONE);
  floats.set(values, layout.inputs.x! / 4);
  run();
  return floats.slice(layout.outputs.y! / 4, layout.outputs.y! / 4 + values.length);
}

const range = (from: number, to: number, count = 4001): number[] =>
  Array.from({ length: count }, (_, i) => Math.fround(from + ((to - from) * i) / (count - 1)));

/** erf by its series, which in doubles is exact enough for |x| < 4. */
function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; n < 120; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

describe('arithmetic', () => {
  it.each([
    ['Exp', Math.exp, range(-87, 88.7), 3e-7],
    ['Log', Math.log, [...range(1e-6, 4), ...range(0.99, 1.01), ...range(1, 1e30)], 3e-7],
    ['Tanh', Math.tanh, range(-12, 12), 4e-7],
    ['Sigmoid', (x: number) => 1 / (1 + Math.exp(-x)), range(-60, 60), 4e-7],
    ['Erf', erf, [...range(-0.01, 0.01), ...range(-3.9, 3.9)], 5e-7],
  ] as const)('%s is right to a few units in the last place', async (op, reference, values, bound) => {
    const results = await apply(op, values);
    values.forEach((x, i) => {
      const expected = reference(x);
      expect(Math.abs(results[i]! - expected), `${op}(${x})`).toBeLessThanOrEqual(bound * Math.abs(expected) + 1e-44);
    });
  });

  it('goes on to infinity, to zero and to what is not a number', async () => {
    const { POSITIVE_INFINITY: inf, NEGATIVE_INFINITY: minus, NaN: none } = Number;
    expect([...(await apply('Exp', [inf, minus, none, 90, -110, 0]))]).toEqual([inf, 0, none, inf, 0, 1]);
    expect([...(await apply('Log', [0, -1, inf, none, 1, minus]))]).toEqual([minus, none, inf, none, 0, none]);
    expect([...(await apply('Tanh', [inf, minus, none, 0]))]).toEqual([1, -1, none, 0]);
    expect([...(await apply('Sigmoid', [inf, minus, none]))]).toEqual([1, 0, none]);
    expect([...(await apply('Erf', [inf, minus, none, 0]))]).toEqual([1, -1, none, 0]);
    expect([...(await apply('Relu', [none, -1, 2]))]).toEqual([none, 0, 2]);
  });

  it('takes logarithms of the smallest numbers', async () => {
    const values = [2 ** -126, 2 ** -130, 2 ** -149];
    const results = await apply('Log', values);
    values.forEach((x, i) => {
      expect(results[i]).toBeCloseTo(Math.log(x), 4);
    });
  });

  it('rounds half to even, and knows the sign of nothing', async () => {
    expect([...(await apply('Round', [0.5, 1.5, 2.5, -0.4]))]).toEqual([0, 2, 2, -0]);
    expect([...(await apply('Sign', [-3, 0, 7]))]).toEqual([-1, 0, 1]);
    expect([...(await apply('LeakyRelu', [-2, 3], { alpha: { float: 0.5 } }))]).toEqual([-1, 3]);
  });
});
