/** Runs a function of tensors, and its gradients, on tfjs-cpu and as a compiled graph. */
import type { Tensor } from '@tensorflow/tfjs';
import { afterAll, beforeAll, expect } from 'vitest';
import { compiledEngine } from '../../../../../learning/engine/compiled.ts';
import { eagerEngine } from '../../../../../learning/engine/eager.ts';
import type { Engine, Program, Tensors } from '../../../../../learning/engine/engine.ts';
import type { TensorFlow } from '../../../../../learning/ops/ops.ts';
import { stream } from '../../../../../protocol/random.ts';
import { type NamedArrays, type NDArray, sizeOf } from '../../../../../protocol/tensors.ts';

export type Inputs = Readonly<Record<string, NDArray>>;
export type TensorFunction = (tf: TensorFlow, inputs: Tensors) => Tensor | readonly Tensor[];

/** Reproducible normal numbers. */
export function normal(shape: readonly number[], seed = 1, scale = 1, offset = 0): NDArray {
  const rng = stream(seed, 'numbers', shape.join());
  return {
    shape,
    dtype: 'float32',
    data: Float32Array.from({ length: sizeOf(shape) }, () => rng.normal() * scale + offset),
  };
}

/** Reproducible integers in [0, bound). */
export function integers(shape: readonly number[], bound: number, seed = 1): NDArray {
  const rng = stream(seed, 'integers', shape.join());
  return { shape, dtype: 'int32', data: Int32Array.from({ length: sizeOf(shape) }, () => rng.below(bound)) };
}

const isFloat = (array: NDArray): boolean => array.dtype === 'float32';

/** Outputs `y0`, `y1`, … and, if asked for, gradients of Σ y·w for fixed weights w with respect to each float input. */
function programOf(name: string, inputs: Inputs, body: TensorFunction, gradient: boolean): Program {
  return {
    name,
    inputs,
    run: ({ tf }, given) => {
      const outputs = [body(tf, given)].flat() as Tensor[];
      const named = Object.fromEntries(outputs.map((y, i) => [`y${i}`, y.dtype === 'bool' ? tf.cast(y, 'int32') : y]));
      if (!gradient) return named;
      const names = Object.keys(inputs).filter((key) => isFloat(inputs[key]!));
      const weighted = (...tensors: Tensor[]): Tensor => {
        const given2 = { ...given, ...Object.fromEntries(names.map((key, i) => [key, tensors[i]!])) };
        const [y] = [body(tf, given2)].flat() as Tensor[];
        const weights = Float32Array.from({ length: y!.size }, (_, i) => Math.sin(i + 1));
        return tf.sum(tf.mul(y!, tf.tensor(weights, y!.shape)));
      };
      const grads = tf.grads(weighted)(names.map((key) => given[key]!));
      return { ...named, ...Object.fromEntries(names.map((key, i) => [`d${key}`, grads[i]!])) };
    },
  };
}

async function results(engine: Engine, program: Program, inputs: Inputs): Promise<NamedArrays> {
  const executable = await engine.load(program);
  try {
    return await executable.run(inputs);
  } finally {
    executable.dispose();
  }
}

function expectClose(actual: NDArray, expected: NDArray, name: string): void {
  expect(actual.shape, name).toEqual(expected.shape);
  const finite = Array.from(expected.data).filter(Number.isFinite);
  const largest = Math.max(1e-3, ...finite.map(Math.abs));
  expected.data.forEach((x: number, i: number) => {
    const y = actual.data[i]!;
    if (Number.isFinite(x)) expect(Math.abs(x - y), `${name}[${i}]: ${y} instead of ${x}`).toBeLessThan(2e-5 * largest);
    else expect(y, `${name}[${i}]`).toBe(x);
  });
}

/**
 * Opens both engines for the tests of a file.
 * @returns a check that fails when their outputs or gradients differ by more than 2·10⁻⁵ of the largest element
 */
export function comparedEngines(): (
  name: string,
  inputs: Inputs,
  body: TensorFunction,
  gradient?: boolean,
) => Promise<void> {
  let compiled: Engine;
  let eager: Engine;
  beforeAll(async () => {
    compiled = await compiledEngine();
    eager = await eagerEngine('cpu');
  });
  afterAll(async () => {
    await compiled.close();
    await eager.close();
  });
  return async (name, inputs, body, gradient = false) => {
    const program = programOf(name, inputs, body, gradient);
    const expected = await results(eager, program, inputs);
    const actual = await results(compiled, program, inputs);
    expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort());
    for (const [key, array] of Object.entries(expected)) expectClose(actual[key]!, array, `${name} ${key}`);
  };
}
