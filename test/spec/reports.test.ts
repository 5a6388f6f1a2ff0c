/** SPEC.md §8.1 and the bytes of §8.3: sections, the order of a vector, ranges of losses. */
import { describe, expect, test } from 'vitest';
import { modelOf } from '../../learning/model.ts';
import { completePlan } from '../../learning/registry.ts';
import { asBytes, toHex } from '../../protocol/bytes.ts';
import { flatten } from '../../protocol/flatten.ts';
import { decodeSafetensors, encodeSafetensors } from '../../protocol/safetensors.ts';
import { exchangesOf } from '../../protocol/sections.ts';
import { float32 } from '../../protocol/tensors.ts';

const planWith = (pretext: object) =>
  completePlan({
    version: 1,
    task: 'test',
    data: { shape: [8, 8, 1] },
    encoder: { name: 'mlp', hidden: [4], dim: 3 },
    pretext,
    augmentation: { name: 'image' },
    training: { steps: 1, batch: 16, optimiser: { name: 'sgd', learningRate: 0.1 } },
    rounds: { count: 1, cohort: 4 },
    privacy: { mode: 'sealed', clipNorm: 2.5 },
  });
const plan = planWith({ name: 'spectral', mu: 3 });

test('[RP1] the sections of a round', () => {
  const { reportShape } = modelOf(plan);
  const exchanges = exchangesOf(plan, reportShape);
  expect(
    exchanges.map(({ index, sections }) => [
      index,
      sections.map((s) => [s.name, s.length, s.reduce, s.bound, s.clipGroup]),
    ]),
  ).toEqual([
    [
      0,
      [
        ['delta', reportShape.dimension, 'weightedSum', 2.5, 'update'],
        ['weight', 1, 'sum', 1, null],
        ['metrics/loss', 1, 'weightedSum', 1, null],
      ],
    ],
  ]);
});

test('[RP2] the vector can be read off the model’s file, tensor by tensor', () => {
  const { aggregated } = modelOf(plan);
  let next = 0;
  const numbered = Object.fromEntries(
    Object.entries(aggregated).map(([name, { shape }]) => {
      const array = float32(shape);
      for (let i = 0; i < array.data.length; i++) array.data[i] = next++;
      return [name, array];
    }),
  );
  const file = encodeSafetensors(numbered);
  const headerBytes = Number(new DataView(file.buffer).getBigUint64(0, true));
  expect(toHex(asBytes(flatten(decodeSafetensors(file).arrays, aggregated)))).toBe(
    toHex(file.subarray(8 + headerBytes)),
  );
});

describe('[RP3] the range of the loss', () => {
  test('spectral', () => {
    expect(modelOf(plan).reportShape.lossRange).toEqual([-6, 15]);
  });
  test('simclr', () => {
    const [low, high] = modelOf(planWith({ name: 'simclr', temperature: 0.25 })).reportShape.lossRange;
    expect([low, high]).toEqual([0, 8 + Math.log(31)]);
  });
});

test('[FP5] words are little-endian', () => {
  expect(toHex(asBytes(Int32Array.of(1, -2, 2 ** 31 - 1)))).toBe('01000000feffffffffffff7f');
});
