/** An exported model gives, for any batch, what the encoder gives, and says what it is. */
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eagerEngine } from '../../../../learning/engine/eager.ts';
import type { Engine } from '../../../../learning/engine/engine.ts';
import { exportOnnx } from '../../../../learning/export/onnx.ts';
import { under } from '../../../../learning/names.ts';
import { encodeProgram } from '../../../../learning/train-step.ts';
import type { Plan } from '../../../../protocol/plan.ts';
import type { NamedArrays, NDArray } from '../../../../protocol/tensors.ts';
import { CLASSES, ENCODER_NAMES, imagesFor, planFor, weightsFor } from './plans.ts';

const BATCHES = [1, 7, 64];

let eager: Engine;
beforeAll(async () => {
  eager = await eagerEngine('cpu');
});
afterAll(() => eager.close());

const encoderOnly = (weights: NamedArrays): NamedArrays =>
  Object.fromEntries(Object.entries(weights).filter(([name]) => name.startsWith('encoder/')));

async function expected(plan: Plan, weights: NamedArrays, images: NDArray): Promise<Float32Array> {
  const executable = await eager.load(encodeProgram(plan));
  await executable.set(under('params', encoderOnly(weights)));
  const { embeddings } = await executable.run({ images });
  executable.dispose();
  return embeddings!.data as Float32Array;
}

/** z·kernel + bias, by loops. */
function logitsOf(embeddings: Float32Array, weights: NamedArrays): number[] {
  const kernel = weights['head/kernel']!;
  const [dim, classes] = kernel.shape as [number, number];
  return Array.from({ length: (embeddings.length / dim) * classes }, (_, k) => {
    const [row, c] = [Math.floor(k / classes), k % classes];
    let sum = weights['head/bias']!.data[c]!;
    for (let j = 0; j < dim; j++) sum += embeddings[row * dim + j]! * kernel.data[j * classes + c]!;
    return sum;
  });
}

function expectClose(actual: ort.Tensor, wanted: ArrayLike<number>): void {
  const scale = Math.max(...Array.from(wanted, Math.abs));
  expect(actual.data).toHaveLength(wanted.length);
  (actual.data as Float32Array).forEach((x, i) => {
    expect(Math.abs(x - wanted[i]!)).toBeLessThan(1e-4 * scale);
  });
}

const open = (bytes: Uint8Array): Promise<ort.InferenceSession> =>
  ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });

describe.each(ENCODER_NAMES)('encoder %s', (name) => {
  const plan = planFor(name);
  const weights = weightsFor(plan);

  it(`with its head takes batches of ${BATCHES.join(', ')} in one session`, async () => {
    const session = await open(exportOnnx({ plan, weights, classes: CLASSES }));
    expect([session.inputNames, session.outputNames]).toEqual([['images'], ['embeddings', 'logits']]);
    for (const batch of BATCHES) {
      const images = imagesFor(plan, batch);
      const { embeddings, logits } = await session.run({
        images: new ort.Tensor('float32', images.data as Float32Array, images.shape),
      });
      const wanted = await expected(plan, weights, images);
      expect(embeddings!.dims).toEqual([batch, wanted.length / batch]);
      expect(logits!.dims).toEqual([batch, CLASSES.length]);
      expectClose(embeddings!, wanted);
      expectClose(logits!, logitsOf(wanted, weights));
    }
    await session.release();
  });

  it('alone has embeddings only', async () => {
    const session = await open(exportOnnx({ plan, weights: encoderOnly(weights) }));
    expect(session.outputNames).toEqual(['embeddings']);
    await session.release();
  });
});

describe('an export', () => {
  const plan = planFor('mlp');
  const weights = weightsFor(plan);

  it('refuses weights that lack a tensor or have another shape', () => {
    const { 'encoder/dense0/kernel': _, ...rest } = weights;
    expect(() => exportOnnx({ plan, weights: rest })).toThrow(/lacks "encoder\/dense0\/kernel"/);
    expect(() => exportOnnx({ plan, weights, classes: ['one'] })).toThrow(/head\/kernel/);
  });
});
