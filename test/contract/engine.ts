/** What every engine does, whatever runs underneath: the contract of learning/engine/engine.ts as a suite. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, Program } from '../../learning/engine/engine.ts';
import { modelOf } from '../../learning/model.ts';
import { drawStep, initialState, scalarsAt, stateNames, trainProgram } from '../../learning/train-step.ts';
import { stream } from '../../protocol/random.ts';
import { float32, int32, type NamedSpecs, scalar } from '../../protocol/tensors.ts';
import { planOf, TINY } from '../unit/learning/plans.ts';

const f32 = (...shape: number[]): NamedSpecs[string] => ({ shape, dtype: 'float32' });

/** state/total ← state/total + Σ x·frozen/weight; returns the sum and x's rows picked by an index. */
const accumulate: Program = {
  name: 'test:accumulate',
  inputs: {
    'state/total': f32(),
    'frozen/weight': f32(2),
    x: f32(3, 2),
    pick: { shape: [2], dtype: 'int32' },
  },
  run: ({ tf }, inputs) => {
    const sum = tf.sum(tf.mul(inputs.x!, inputs['frozen/weight']!));
    return { 'state/total': tf.add(inputs['state/total']!, sum), sum, picked: tf.gather(inputs.x!, inputs.pick!) };
  },
};

const anyBatch: Program = {
  name: 'test:any-batch',
  inputs: { x: f32(-1, 2), 'params/w': f32(2, 3) },
  run: (nn, inputs) => ({ y: nn.matMul(inputs.x!, inputs['params/w']!) }),
};

const unchanged: Program = {
  name: 'test:unchanged',
  inputs: { 'aux/kept': f32(2), x: f32() },
  run: ({ tf }, inputs) => ({ 'aux/kept': inputs['aux/kept']!, same: inputs['aux/kept']!, y: tf.add(inputs.x!, 1) }),
};

const floats = (...values: number[]) => float32([values.length], Float32Array.from(values));
const x = float32([3, 2], Float32Array.of(1, 2, 3, 4, 5, 6));
const pick = int32([2], Int32Array.of(2, 0));

/** @param create a new engine per suite; undefined when it cannot run here, which the caller explains in `name` */
export function engineContract(name: string, create: () => Promise<Engine>): void {
  describe(`engine contract: ${name}`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await create();
    });
    afterAll(() => engine.close());

    it('carries outputs that are inputs, returns the others', async () => {
      const executable = await engine.load(accumulate);
      await executable.set({ 'state/total': scalar(100), 'frozen/weight': floats(1, 10) });
      const first = await executable.run({ x, pick });
      expect(Object.keys(first).sort()).toEqual(['picked', 'sum']);
      expect(first.sum!.shape).toEqual([]);
      expect(first.sum!.data[0]).toBeCloseTo(129, 4);
      expect(first.picked).toEqual(float32([2, 2], Float32Array.of(5, 6, 1, 2)));
      await executable.run({ x, pick });
      expect((await executable.get(['state/total']))['state/total']!.data[0]).toBeCloseTo(358, 3);
      await executable.set({ 'frozen/weight': floats(0, 1) });
      expect((await executable.run({ x, pick })).sum!.data[0]).toBeCloseTo(12, 5);
      expect((await executable.get(['state/total']))['state/total']!.data[0]).toBeCloseTo(370, 3);
      executable.dispose();
    });

    it('copies what it is given and what it gives', async () => {
      const executable = await engine.load(accumulate);
      const weight = floats(1, 10);
      await executable.set({ 'state/total': scalar(0), 'frozen/weight': weight });
      weight.data.fill(7);
      expect((await executable.run({ x, pick })).sum!.data[0]).toBeCloseTo(129, 4);
      const held = await executable.get(['state/total', 'frozen/weight']);
      expect(Array.from(held['frozen/weight']!.data)).toEqual([1, 10]);
      held['state/total']!.data[0] = 5;
      held['frozen/weight']!.data.fill(0);
      expect((await executable.run({ x, pick })).sum!.data[0]).toBeCloseTo(129, 4);
      expect((await executable.get(['state/total']))['state/total']!.data[0]).toBeCloseTo(258, 3);
      executable.dispose();
    });

    it('takes any batch where the first axis is −1', async () => {
      const executable = await engine.load(anyBatch);
      await executable.set({ 'params/w': float32([2, 3], Float32Array.of(1, 0, 2, 0, 1, 3)) });
      for (const batch of [1, 5, 2]) {
        const rows = float32(
          [batch, 2],
          Float32Array.from({ length: 2 * batch }, (_, i) => i),
        );
        const { y } = await executable.run({ x: rows });
        expect(y!.shape).toEqual([batch, 3]);
        const expected = Array.from({ length: batch }, (_, i) => [2 * i, 2 * i + 1, 4 * i + 3 * (2 * i + 1)]);
        expect(Array.from(y!.data)).toEqual(expected.flat());
      }
      executable.dispose();
    });

    it('an input may be an output', async () => {
      const executable = await engine.load(unchanged);
      await executable.set({ 'aux/kept': floats(3, 4) });
      for (let i = 0; i < 3; i++) {
        const { same, y } = await executable.run({ x: scalar(i) });
        expect([Array.from(same!.data), y!.data[0]]).toEqual([[3, 4], i + 1]);
      }
      expect(Array.from((await executable.get(['aux/kept']))['aux/kept']!.data)).toEqual([3, 4]);
      executable.dispose();
    });

    it('refuses unknown names, wrong shapes, missing inputs, and goes on', async () => {
      const executable = await engine.load(accumulate);
      await expect(executable.set({ nothing: scalar(1) })).rejects.toMatchObject({ code: 'weights/mismatch' });
      await expect(executable.set({ 'frozen/weight': floats(1, 2, 3) })).rejects.toMatchObject({
        code: 'weights/mismatch',
      });
      await expect(executable.run({ x, pick })).rejects.toMatchObject({ code: 'weights/mismatch' });
      await executable.set({ 'state/total': scalar(0), 'frozen/weight': floats(1, 1) });
      await expect(executable.run({ pick, x: floats(1, 2) })).rejects.toMatchObject({ code: 'weights/mismatch' });
      await expect(executable.run({ x })).rejects.toMatchObject({ code: 'weights/mismatch' });
      await expect(executable.run({ x, pick: floats(0, 1) })).rejects.toMatchObject({ code: 'weights/mismatch' });
      await expect(executable.get(['nothing'])).rejects.toMatchObject({ code: 'weights/mismatch' });
      expect((await executable.run({ x, pick })).sum!.data[0]).toBeCloseTo(21, 5);
      executable.dispose();
    });

    it('keeps executables apart, also those of one program, and runs them in turn', async () => {
      const [one, two] = [await engine.load(accumulate), await engine.load(accumulate)];
      await one.set({ 'state/total': scalar(0), 'frozen/weight': floats(1, 1) });
      await two.set({ 'state/total': scalar(1000), 'frozen/weight': floats(2, 2) });
      await Promise.all([one.run({ x, pick }), two.run({ x, pick }), one.run({ x, pick })]);
      expect((await one.get(['state/total']))['state/total']!.data[0]).toBeCloseTo(42, 4);
      one.dispose();
      expect((await two.get(['state/total']))['state/total']!.data[0]).toBeCloseTo(1042, 2);
      two.dispose();
    });

    it('trains: the same start gives the same bits', async () => {
      const plan = planOf({
        ...TINY.conv,
        ...TINY.spectral,
        augmentation: { name: 'image', crop: [0.5, 1], flip: 0.5 },
      });
      const program = trainProgram(plan);
      const run = async () => {
        const executable = await engine.load(program);
        await executable.set(initialState(plan, modelOf(plan).init(1)));
        const rng = stream(1, 'contract');
        for (let i = 0; i < 3; i++) {
          const images = float32(
            [3, 4, 4, 1],
            Float32Array.from({ length: 48 }, () => rng.next()),
          );
          await executable.run({ 'batch/images': images, ...drawStep(plan, rng), ...scalarsAt(plan, 0) });
        }
        const state = await executable.get(stateNames(program));
        executable.dispose();
        return state;
      };
      const one = await run();
      expect(Object.values(one).every(({ data }) => data.every((v) => Number.isFinite(v)))).toBe(true);
      expect(await run()).toEqual(one);
    });
  });
}
