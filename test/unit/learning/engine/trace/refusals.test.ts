/** What cannot be compiled is refused by name: the kernel, the op and where the program asked for it. */
import type { Tensor1D } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import type { Program } from '../../../../../learning/engine/engine.ts';
import { traceProgram } from '../../../../../learning/engine/trace/trace.ts';
import { TacitError } from '../../../../../protocol/errors.ts';

const programOf = (run: Program['run']): Program => ({
  name: 'refused',
  inputs: { x: { shape: [4], dtype: 'float32' } },
  run,
});

function refusalOf(run: Program['run']): TacitError {
  try {
    traceProgram(programOf(run));
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(TacitError);
    expect((thrown as TacitError).code).toBe('engine/unsupported');
    return thrown as TacitError;
  }
  throw new Error('it was traced');
}

describe('a trace', () => {
  it('refuses kernels that it does not cover, naming kernel, op and caller', () => {
    const refusal = refusalOf(function someStep({ tf }, { x }) {
      return { y: tf.cumprod(x!) };
    });
    expect(refusal.message).toContain('no kernel Cumprod');
    expect(refusal.message).toContain('op cumprod');
    expect(refusal.message).toContain('refusals.test.ts');
    expect(refusal.where).toBe('Cumprod');
  });

  it('refuses to read a value', () => {
    const refusal = refusalOf(({ tf }, { x }) => ({ y: tf.mul(x!, x!.dataSync()[0]!) }));
    expect(refusal.message).toContain('read inside a traced step');
  });

  it('refuses random numbers that are baked in, naming their op', () => {
    expect(refusalOf(({ tf }, { x }) => ({ y: tf.add(x!, tf.randomUniform([4])) })).message).toContain('randomUniform');
    expect(refusalOf(({ tf }, { x }) => ({ y: tf.dropout(x!, 0.5) })).message).toMatch(/random|dropout/i);
    expect(refusalOf(({ tf }, { x }) => ({ y: tf.multinomial(x as Tensor1D, 3) })).message).toContain('random');
  });

  it('refuses schedules that are baked in', () => {
    let step = 0;
    const refusal = refusalOf(({ tf }, { x }) => ({ y: tf.mul(x!, ++step) }));
    expect(refusal.message).toContain('baked in');
    let rounds = 0;
    const branching = refusalOf(({ tf }, { x }) => ({ y: rounds++ % 2 === 0 ? tf.exp(x!) : tf.sin(x!) }));
    expect(branching.message).toContain('exp');
  });

  it('refuses outputs that change places', () => {
    let runs = 0;
    const refusal = refusalOf(({ tf }, { x }) => {
      const [a, b] = [tf.exp(x!), tf.sin(x!)];
      return runs++ % 2 === 0 ? { a, b } : { a: b, b: a };
    });
    expect(refusal.message).toContain('its outputs');
  });

  it('leaves the backend and the tensors of tfjs as they were', async () => {
    const tf = await import('@tensorflow/tfjs');
    await tf.setBackend('cpu');
    const before = tf.memory().numTensors;
    traceProgram(programOf(({ tf: t }, { x }) => ({ y: t.softmax(x!) })));
    expect(() => traceProgram(programOf(({ tf: t }, { x }) => ({ y: t.cumprod(x!) })))).toThrow(TacitError);
    expect(tf.getBackend()).toBe('cpu');
    expect(tf.memory().numTensors).toBe(before);
  });
});
