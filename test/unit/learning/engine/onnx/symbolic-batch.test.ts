/** One graph for any batch, from two traces; what cannot be one graph is refused by name. */
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { withBatch } from '../../../../../learning/engine/compile.ts';
import type { Program } from '../../../../../learning/engine/engine.ts';
import { symbolicBatch } from '../../../../../learning/engine/onnx/symbolic-batch.ts';
import { writeModel } from '../../../../../learning/engine/onnx/writer.ts';
import { portable } from '../../../../../learning/engine/rewrites/portable.ts';
import { traceProgram } from '../../../../../learning/engine/trace/trace.ts';

const FEATURES = 6;

function lifted(run: Program['run']): Uint8Array {
  const program: Program = { name: 'lifted', inputs: { x: { shape: [-1, FEATURES], dtype: 'float32' } }, run };
  const sized = (batch: number) => ({ batch, graph: portable(traceProgram(withBatch(program, batch))) });
  const { graph, symbolic } = symbolicBatch(sized(11), sized(13));
  return writeModel(graph, { symbolic, plainNames: true });
}

/** y for the numbers 0, 1, 2, … in rows. */
async function outputs(bytes: Uint8Array, batch: number): Promise<{ dims: readonly number[]; data: number[] }> {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const x = Float32Array.from({ length: batch * FEATURES }, (_, i) => i);
  const { y } = await session.run({ x: new ort.Tensor('float32', x, [batch, FEATURES]) });
  await session.release();
  return { dims: y!.dims, data: Array.from(y!.data as Float32Array) };
}

const sizes = [1, 2, 11, 40];
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('a symbolic batch', () => {
  it.each(sizes)('of %i: rows split into more rows and back', async (batch) => {
    const bytes = lifted(({ tf }, { x }) => {
      const halves = tf.reshape(x!, [2 * x!.shape[0]!, 3]);
      return { y: tf.reshape(tf.sub(halves, tf.max(halves, 1, true)), [-1, FEATURES]) };
    });
    const { dims, data } = await outputs(bytes, batch);
    expect(dims).toEqual([batch, FEATURES]);
    expect(data).toEqual(range(batch).flatMap(() => [-2, -1, 0, -2, -1, 0]));
  });

  it.each(sizes)('of %i: a token put before every row, and a slice of it', async (batch) => {
    const bytes = lifted(({ tf }, { x }) => {
      const n = x!.shape[0]!;
      const token = tf.broadcastTo(tf.tensor2d([[7, 8]]), [n, 2]);
      const all = tf.concat([token, x!], 1);
      return { y: tf.add(tf.slice(all, [0, 1], [n, 2]), tf.ones([n, 2])) };
    });
    const { dims, data } = await outputs(bytes, batch);
    expect(dims).toEqual([batch, 2]);
    expect(data).toEqual(range(batch).flatMap((i) => [9, 6 * i + 1]));
  });

  it.each(sizes)('of %i: outputs whose size is a multiple of it', async (batch) => {
    const bytes = lifted(({ tf }, { x }) => ({ y: tf.tile(x!, [2, 1]) }));
    expect((await outputs(bytes, batch)).dims).toEqual([2 * batch, FEATURES]);
  });

  it('refuses what depends on the batch by its value, naming the op', () => {
    expect(() => lifted(({ tf }, { x }) => ({ y: tf.div(x!, x!.shape[0]!) }))).toThrow(/any batch: .*div/i);
    expect(() => lifted(({ tf }, { x }) => ({ y: tf.sub(x!, tf.mean(x!, 0)) }))).not.toThrow();
    const branching: Program['run'] = ({ tf }, { x }) => ({ y: x!.shape[0] === 11 ? tf.exp(x!) : tf.sin(x!) });
    expect(() => lifted(branching)).toThrow(/any batch/);
  });
});
