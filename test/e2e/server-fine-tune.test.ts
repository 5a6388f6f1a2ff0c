/** Central fine-tuning of a run's model: the engine is loaded in a worker, when it is asked for. */
import { expect, test } from 'vitest';
import { modelOf } from '../../learning/model.ts';
import { encodeSafetensors } from '../../protocol/safetensors.ts';
import { float32 } from '../../protocol/tensors.ts';
import { fineTune } from '../../server/index.ts';
import { testPlan } from './server-harness.ts';

/** Two classes of 4×4 images that differ by which half is bright. */
const source = (count: number) => {
  const image = float32([count, 4, 4, 1]);
  const groups = Array.from({ length: count }, (_, i) => i % 2);
  groups.forEach((group, i) => {
    for (let k = 0; k < 8; k++) image.data[16 * i + 8 * group + k] = 0.5 + ((i * 7 + k) % 5) / 10;
  });
  return { kind: 'memory' as const, image, groups };
};

test('a model is fine-tuned on labelled examples as its plan says, and scored before and after', async () => {
  const plan = testPlan({ fineTuning: { steps: 3, batch: 4 } });
  const model = encodeSafetensors(modelOf(plan).init(plan.seed));
  const options = { train: source(12), classes: 2, score: { test: source(10) }, engine: 'eager:cpu' as const };
  const { accuracy, model: tuned } = await fineTune(plan, model, options);
  expect(accuracy.test).toHaveLength(2);
  expect(accuracy.test![0]).toBe(1);
  expect(accuracy.test![1]).toBe(1);
  expect(
    Object.keys(tuned!)
      .filter((name) => name.startsWith('head/'))
      .sort(),
  ).toEqual(['head/bias', 'head/kernel']);
});

test('a model of other parameters is refused', async () => {
  const plan = testPlan();
  const other = encodeSafetensors({ 'encoder/nothing': float32([1]) });
  await expect(fineTune(plan, other, { train: source(4), classes: 2, engine: 'eager:cpu' })).rejects.toMatchObject({
    code: 'weights/mismatch',
  });
});
