import { describe, expect, it } from 'vitest';
import type { Backend } from '../../../../learning/engine/eager-backend.ts';
import type { Composites, Ops } from '../../../../learning/ops/ops.ts';
import { makeOps } from '../../../../learning/ops/ops.ts';
import { stream } from '../../../../protocol/random.ts';
import { float32, type NDArray } from '../../../../protocol/tensors.ts';
import { deviation, dot, randomArray, slope, toImages, toMatrix } from '../../../reference/arrays.ts';
import * as naive from '../../../reference/network.ts';
import { BACKENDS, differentiate } from './gradients.ts';

type Numbers = ArrayLike<number>;

interface Case {
  readonly name: string;
  readonly inputs: readonly (readonly number[])[];
  readonly ours: (nn: Ops, tensors: Parameters<Composites['dense']>[0][]) => ReturnType<Composites['dense']>;
  readonly reference: (inputs: readonly { shape: readonly number[]; data: Float64Array }[]) => number[];
}

const groupNorm = (shape: readonly number[], groups: number): Case => ({
  name: `groupNorm [${shape}] in ${groups}`,
  inputs: [shape, [shape[3]!], [shape[3]!]],
  ours: (nn, [x, scale, offset]) => nn.groupNorm(x!, scale!, offset!, groups),
  reference: ([x, scale, offset]) =>
    toImages(x!)
      .map((image) => naive.groupNorm(image, scale!, offset!, groups))
      .flat(3),
});

/** erf by its power series, to double precision for the arguments of this test. */
function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const elementwise = (name: 'relu' | 'gelu', f: (x: number) => number): Case => ({
  name,
  inputs: [[5, 7]],
  ours: (nn, [x]) => nn[name](x!),
  reference: ([x]) => Array.from(x!.data, f),
});

const cases: readonly Case[] = [
  {
    name: 'matMul',
    inputs: [
      [5, 3],
      [3, 7],
    ],
    ours: (nn, [a, b]) => nn.matMul(a!, b!),
    reference: ([a, b]) => naive.dense(toMatrix(a!), b!).flat(),
  },
  {
    name: 'gram',
    inputs: [[5, 3]],
    ours: (nn, [x]) => nn.gram(x!),
    reference: ([x]) => {
      const rows = toMatrix(x!);
      const columns = rows[0]!.map((_, j) => rows.map((row) => row[j]!));
      return columns.flatMap((a) => columns.map((b) => a.reduce((sum, value, i) => sum + value * b[i]!, 0)));
    },
  },
  {
    name: 'dense with bias',
    inputs: [[4, 6], [6, 2], [2]],
    ours: (nn, [x, kernel, bias]) => nn.dense(x!, kernel!, bias),
    reference: ([x, kernel, bias]) => naive.dense(toMatrix(x!), kernel!, bias).flat(),
  },
  {
    name: 'layerNorm',
    inputs: [[4, 9], [9], [9]],
    ours: (nn, [x, scale, offset]) => nn.layerNorm(x!, scale!, offset!),
    reference: ([x, scale, offset]) => naive.layerNorm(toMatrix(x!), scale!, offset!).flat(),
  },
  {
    name: 'batchNorm',
    inputs: [[4, 9], [9], [9]],
    ours: (nn, [x, scale, offset]) => nn.batchNorm(x!, scale!, offset!),
    reference: ([x, scale, offset]) => naive.batchNorm(toMatrix(x!), scale!, offset!).flat(),
  },
  groupNorm([2, 3, 4, 6], 3),
  groupNorm([3, 4, 4, 4], 1),
  groupNorm([2, 5, 3, 4], 4),
  {
    name: 'globalAveragePool',
    inputs: [[2, 3, 5, 4]],
    ours: (nn, [x]) => nn.globalAveragePool(x!),
    reference: ([x]) => toImages(x!).flatMap(naive.globalAveragePool),
  },
  {
    name: 'l2Normalise',
    inputs: [[4, 6]],
    ours: (nn, [x]) => nn.l2Normalise(x!),
    reference: ([x]) => toMatrix(x!).flatMap((row) => row.map((v) => v / Math.hypot(...row))),
  },
  elementwise('relu', (x) => Math.max(0, x)),
  elementwise('gelu', (x) => (x * (1 + erf(x / Math.SQRT2))) / 2),
];

/** Largest error of the derivative along random directions, relative to the gradient's length. */
async function gradientError(backend: Backend, { name, inputs, ours, reference }: Case): Promise<number> {
  const rng = stream(2, name);
  const values = inputs.map((shape) => randomArray(rng, shape));
  const doubles = values.map(({ shape, data }) => ({ shape, data: Float64Array.from(data) }));
  const expected = reference(doubles);
  const cotangent: Numbers = Float32Array.from(expected, () => rng.normal());
  const shape = (await differentiate(backend, values, undefined, ours)).shape;
  const found = await differentiate(backend, values, float32(shape, cotangent as Float32Array), ours);
  expect(deviation(found.value, expected)).toBeLessThan(1e-5);
  let error = 0;
  for (const [i, gradient] of found.gradients.entries())
    for (let trial = 0; trial < 3; trial++) {
      const direction = randomArray(rng, inputs[i]!).data;
      const at = (data: Float64Array) => doubles.map((double, j) => (j === i ? { ...double, data } : double));
      const exact = slope((data) => dot(cotangent, reference(at(data))), doubles[i]!.data, direction);
      const scale = Math.hypot(...gradient) || 1;
      error = Math.max(error, Math.abs(dot(gradient, direction) - exact) / scale);
    }
  return error;
}

describe.each(BACKENDS)('composites on %s', (backend) => {
  it.each(cases)('$name: value and gradient', async (composite) => {
    expect(await gradientError(backend, composite)).toBeLessThan(1e-4);
  });

  it('lets no gradient through where it is stopped', async () => {
    const x = float32([3], Float32Array.of(1, -2, 5));
    const { value, gradients } = await differentiate(backend, [x], undefined, (nn, [t]) =>
      nn.tf.mul(t!, nn.stopGradient(nn.tf.square(t!))),
    );
    expect(Array.from(value)).toEqual([1, -8, 125]);
    expect(Array.from(gradients[0]!)).toEqual([1, 4, 25]); // with it, 3·x²
  });

  it('a zero row stays zero and has a finite gradient', async () => {
    const rows: NDArray = float32([2, 3], Float32Array.of(0, 0, 0, 3, 0, 4));
    const { value, gradients } = await differentiate(backend, [rows], undefined, (nn, [x]) => nn.l2Normalise(x!));
    expect(value[0]).toBe(0);
    expect(value[3]).toBeCloseTo(0.6, 6);
    expect(gradients[0]!.every(Number.isFinite)).toBe(true);
  });

  it('normalises what lies far from zero', async () => {
    const x = float32([1, 2, 2, 2], Float32Array.from([1000, 1001, 1000, 1001, 1002, 1003, 1002, 1003]));
    const [one, zero] = [float32([2], Float32Array.of(1, 1)), float32([2])];
    const { value } = await differentiate(backend, [x, one, zero], undefined, (nn, [image, scale, offset]) =>
      nn.groupNorm(image!, scale!, offset!, 1),
    );
    expect(deviation(value, naive.standardise(Array.from(x.data)))).toBeLessThan(1e-4);
  });
});

it('the check finds a gradient that is 1 % too large', async () => {
  const wrong: Case = {
    ...cases[0]!,
    ours: (nn, [a, b]) => {
      const scaled = nn.tf.customGrad((x, save) => {
        (save as (tensors: (typeof a)[]) => void)([]);
        return { value: (x as NonNullable<typeof a>).clone(), gradFunc: (dy) => nn.tf.mul(dy, 1.01) };
      });
      return scaled(nn.matMul(a!, b!));
    },
  };
  expect(await gradientError('cpu', wrong)).toBeGreaterThan(1e-3);
});

it('an engine may put its own composites in place, also for those that are made of them', async () => {
  const tf = await import('@tensorflow/tfjs');
  const calls: string[] = [];
  const plain = makeOps(tf);
  const nn = makeOps(tf, {
    matMul: (a, b) => {
      calls.push('matMul');
      return plain.matMul(a, b);
    },
  });
  tf.tidy(() => nn.dense(tf.ones([1, 2]), tf.ones([2, 3]), tf.ones([3])));
  expect(calls).toEqual(['matMul']);
});
