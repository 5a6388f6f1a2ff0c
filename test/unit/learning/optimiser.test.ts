import type { Tensor } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { activate, loadBackend } from '../../../learning/engine/eager-backend.ts';
import type { Ops } from '../../../learning/ops/ops.ts';
import { clipByNorm, optimiserOf } from '../../../learning/optimiser.ts';
import { type OptimiserSpec, optimiserSchema } from '../../../protocol/plan.ts';
import { stream } from '../../../protocol/random.ts';
import type { NamedSpecs } from '../../../protocol/tensors.ts';
import { BACKENDS } from './ops/gradients.ts';

const specs: NamedSpecs = { 'a/w': { shape: [2], dtype: 'float32' }, 'b/w': { shape: [1], dtype: 'float32' } };

/** Parameters after each step, for given gradients. */
function train(
  nn: Ops,
  spec: OptimiserSpec,
  start: number[][],
  gradients: number[][][],
  rates: number[],
): number[][][] {
  const { tf } = nn;
  const optimiser = optimiserOf(spec);
  const named = (values: number[][]): Record<string, Tensor> => ({
    'a/w': tf.tensor1d(values[0]!),
    'b/w': tf.tensor1d(values[1]!),
  });
  return tf.tidy(() => {
    let params: Readonly<Record<string, Tensor>> = named(start);
    let state: Readonly<Record<string, Tensor>> = Object.fromEntries(
      Object.entries(optimiser.state(specs)).map(([name, { shape }]) => [name, tf.zeros([...shape])]),
    );
    return gradients.map((grads, i) => {
      ({ params, state } = optimiser.apply(nn, params, named(grads), state, tf.scalar(rates[i]!)));
      expect(Object.keys(state).sort()).toEqual(Object.keys(optimiser.state(specs)).sort());
      return ['a/w', 'b/w'].map((name) => Array.from(params[name]!.dataSync()));
    });
  });
}

/** The published update of one coordinate, in double precision. */
function adamReference(
  x: number,
  grads: number[],
  rates: number[],
  s: Extract<OptimiserSpec, { name: 'adam' }>,
): number {
  let [m, v] = [0, 0];
  for (const [i, g] of grads.entries()) {
    m = s.beta1 * m + (1 - s.beta1) * g;
    v = s.beta2 * v + (1 - s.beta2) * g * g;
    const [mHat, vHat] = [m / (1 - s.beta1 ** (i + 1)), v / (1 - s.beta2 ** (i + 1))];
    x = x - rates[i]! * s.weightDecay * x - (rates[i]! * mHat) / (Math.sqrt(vHat) + s.epsilon);
  }
  return x;
}

function sgdReference(x: number, grads: number[], rates: number[], s: Extract<OptimiserSpec, { name: 'sgd' }>): number {
  let u = 0;
  for (const [i, g] of grads.entries()) {
    u = s.momentum * u + g + s.weightDecay * x;
    x -= rates[i]! * u;
  }
  return x;
}

const STEPS = 20;
const rng = stream(9, 'optimiser');
const gradients = Array.from({ length: STEPS }, () => [[rng.normal(), 1e-3 * rng.normal()], [100 * rng.normal()]]);
const rates = Array.from({ length: STEPS }, (_, i) => 0.1 / (i + 1));
const start = [[1, -2], [0.5]];

describe.each(BACKENDS)('optimisers on %s', (backend) => {
  it.each([
    { name: 'adam', learningRate: 0.1 },
    { name: 'adam', learningRate: 0.1, beta1: 0, beta2: 0.5, epsilon: 1e-3 },
    { name: 'adam', learningRate: 0.1, weightDecay: 0.2 },
    { name: 'sgd', learningRate: 0.1 },
    { name: 'sgd', learningRate: 0.1, momentum: 0 },
    { name: 'sgd', learningRate: 0.1, momentum: 0.5, weightDecay: 0.3 },
  ])('%o follows its published update', async (options) => {
    const nn = await loadBackend(backend, {});
    activate(nn.tf, backend);
    const spec = optimiserSchema.parse(options);
    const found = train(nn, spec, start, gradients, rates);
    const coordinates = [
      [0, 0],
      [0, 1],
      [1, 0],
    ] as const;
    for (const steps of [1, 2, STEPS])
      for (const [p, i] of coordinates) {
        const history = gradients.slice(0, steps).map((g) => g[p]![i]!);
        const exact =
          spec.name === 'adam'
            ? adamReference(start[p]![i]!, history, rates, spec)
            : sgdReference(start[p]![i]!, history, rates, spec);
        expect(Math.abs(found[steps - 1]![p]![i]! - exact) / Math.max(1, Math.abs(exact))).toBeLessThan(2e-5);
      }
  });

  it("Adam's first step is the learning rate against the gradient's sign, by hand", async () => {
    const nn = await loadBackend(backend, {});
    activate(nn.tf, backend);
    const spec = optimiserSchema.parse({ name: 'adam', learningRate: 0.1 });
    const [after] = train(nn, spec, [[1, 2], [3]], [[[0.5, -7], [0.001]]], [0.1]);
    for (const [i, exact] of [0.9, 2.1].entries()) expect(after![0]![i]).toBeCloseTo(exact, 5);
    expect(after![1]![0]).toBeCloseTo(2.9, 4);
  });

  it('clips by the norm over all tensors, and leaves a shorter gradient as it is', async () => {
    const nn = await loadBackend(backend, {});
    activate(nn.tf, backend);
    nn.tf.tidy(() => {
      const grads = { a: nn.tf.tensor1d([3, 0]), b: nn.tf.tensor1d([4]) };
      const clipped = clipByNorm(nn, grads, 1);
      expect(clipped.a!.dataSync()[0]).toBeCloseTo(0.6, 6);
      expect(clipped.b!.dataSync()[0]).toBeCloseTo(0.8, 6);
      expect(clipByNorm(nn, grads, 10).b!.dataSync()[0]).toBeCloseTo(4, 5);
      const zero = clipByNorm(nn, { a: nn.tf.zeros([2]) }, 1);
      expect(Array.from(zero.a!.dataSync())).toEqual([0, 0]);
    });
  });
});

it("a state's names start with the parameter's, and it has its shapes", () => {
  const state = optimiserOf(optimiserSchema.parse({ name: 'adam', learningRate: 1 })).state(specs);
  expect(Object.keys(state)).toEqual(['a/w/m', 'a/w/v', 'b/w/m', 'b/w/v', 'bias1', 'bias2']);
  expect(state['a/w/v']!.shape).toEqual([2]);
});
