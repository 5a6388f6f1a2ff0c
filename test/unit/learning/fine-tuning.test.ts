import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSource } from '../../../learning/data/open.ts';
import { eagerEngine } from '../../../learning/engine/eager.ts';
import type { Engine, Program } from '../../../learning/engine/engine.ts';
import { linearProbe } from '../../../learning/evaluation/linear-probe.ts';
import {
  classify,
  crossEntropy,
  type FineTuning,
  fineTuneFeeds,
  fineTuneProgram,
  fineTuneState,
  headOf,
  zeroHead,
} from '../../../learning/fine-tuning.ts';
import { modelOf } from '../../../learning/model.ts';
import { fineTuneCurve } from '../../../learning/pool/fine-tune-curve.ts';
import type { FineTuneInput } from '../../../learning/pool/jobs/fine-tune.ts';
import { createPool } from '../../../learning/pool/pool.ts';
import type { TrainingPool } from '../../../learning/pool/scheduler.ts';
import { stream } from '../../../protocol/random.ts';
import { float32 } from '../../../protocol/tensors.ts';
import { globalModel, tinyImages, tinyPlan } from './pool/tiny.ts';

const plan = tinyPlan();
const adam = (learningRate: number): FineTuning['optimiser'] => ({
  name: 'adam',
  learningRate,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
});
const tuning = (method: FineTuning['method'], learningRate = 1e-2): FineTuning => ({
  method,
  classes: 4,
  batch: 8,
  optimiser: adam(learningRate),
});
const first = (count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => i);

let engine: Engine;
let pool: TrainingPool;
beforeAll(async () => {
  engine = await eagerEngine('cpu');
  pool = await createPool({ workers: 0, engine: 'eager:cpu' });
});
afterAll(async () => {
  await pool.close();
  await engine.close();
});

describe('crossEntropy', () => {
  const rows = [
    [2, -1, 0.5],
    [100, 3, -100],
  ];
  const labels = [1, 0];
  /** −log softmax, on plain numbers. */
  const lossAt = (logits: number[][]): number =>
    logits.reduce((sum, row, i) => {
      const most = Math.max(...row);
      return sum + Math.log(row.reduce((s, v) => s + Math.exp(v - most), 0)) + most - row[labels[i]!]!;
    }, 0) / logits.length;

  it('is the mean of −log softmax, with its gradient', async () => {
    const program: Program = {
      name: 'cross-entropy',
      inputs: { logits: { shape: [2, 3], dtype: 'float32' }, labels: { shape: [2, 3], dtype: 'float32' } },
      run: (nn, { logits, labels: target }) => {
        const { value, grad } = {
          value: crossEntropy(nn, logits!, target!),
          grad: nn.tf.grad((x) => nn.tf.mul(crossEntropy(nn, x, target!), 3))(logits!),
        };
        return { value, grad };
      },
    };
    const { value, grad } = await (await engine.load(program)).run({
      logits: float32([2, 3], Float32Array.from(rows.flat())),
      labels: float32([2, 3], Float32Array.of(0, 1, 0, 1, 0, 0)),
    });
    expect(value!.data[0]).toBeCloseTo(lossAt(rows), 5);
    rows.flat().forEach((_, k) => {
      const moved = (by: number): number[][] => rows.map((row, i) => row.map((v, j) => (i * 3 + j === k ? v + by : v)));
      const slope = (lossAt(moved(1e-5)) - lossAt(moved(-1e-5))) / 2e-5;
      expect(grad!.data[k]).toBeCloseTo(3 * slope, 4);
    });
  });
});

describe('fineTuneProgram', () => {
  async function steps(method: FineTuning['method'], count: number) {
    const chosen = tuning(method);
    const start = { ...globalModel(plan), ...zeroHead(plan, 4) };
    const program = fineTuneProgram(plan, chosen);
    const step = await engine.load(program);
    await step.set(fineTuneState(plan, chosen, start));
    const source = await openSource(tinyImages(8), plan.data);
    const { image } = await source.read(first(8));
    const labels = Int32Array.from(first(8), (i) => source.group!(i));
    const rng = stream(1, 'draws');
    const losses: number[] = [];
    for (let i = 0; i < count; i++) {
      losses.push((await step.run(fineTuneFeeds(plan, chosen, image, labels, rng)))['metrics/loss']!.data[0]!);
    }
    return { losses, step, start, program };
  }

  it('starts at log(classes) with a zero head, and learns', async () => {
    const { losses } = await steps('full', 40);
    expect(losses[0]).toBeCloseTo(Math.log(4), 5);
    expect(losses.slice(-5).reduce((a, b) => a + b, 0) / 5).toBeLessThan(0.9);
  });

  it('`head` trains the head and nothing else; the others train everything', async () => {
    const head = await steps('head', 3);
    expect(Object.keys(head.program.inputs).filter((name) => name.startsWith('params/'))).toEqual([
      'params/head/kernel',
      'params/head/bias',
    ]);
    expect((await head.step.get(['params/head/kernel']))['params/head/kernel']!.data.some((v) => v !== 0)).toBe(true);
    const full = await steps('full', 3);
    for (const name of Object.keys(modelOf(plan).encoderSpecs)) {
      const after = (await full.step.get([`params/${name}`]))[`params/${name}`]!;
      expect(after.data, name).not.toEqual(full.start[name]!.data);
    }
  });

  it('has one name for all learning rates, another for other graphs', () => {
    const name = (t: FineTuning): string => fineTuneProgram(plan, t).name;
    expect(name(tuning('full', 1e-4))).toBe(name(tuning('full', 1e-2)));
    expect(name(tuning('full'))).toBe(name(tuning('lp-ft')));
    expect(name(tuning('full'))).not.toBe(name(tuning('head')));
    expect(name({ ...tuning('full'), classes: 5 })).not.toBe(name(tuning('full')));
  });
});

describe('headOf', () => {
  it('classifies as the probe does', () => {
    const rng = stream(2, 'features');
    const features = { rows: 40, columns: 6, data: Float32Array.from({ length: 240 }, () => 3 + 5 * rng.normal()) };
    const labels = Int32Array.from(
      features.data.filter((_, k) => k % 6 === 0),
      (v) => (v > 3 ? 1 : 0),
    );
    const probe = linearProbe({ features, labels }, { classes: 2, penalty: 1e-4 });
    const predicted = classify(headOf(probe), features);
    expect([...predicted]).toEqual([...labels]);
  });
});

describe('the fine-tune job', () => {
  const input = (changes: Partial<FineTuneInput> = {}): FineTuneInput => ({
    plan,
    tuning: tuning('lp-ft', 1e-3),
    model: globalModel(plan),
    train: { ...tinyImages(40), indices: first(8) },
    score: { test: tinyImages(60, 2), validation: { ...tinyImages(40), indices: Int32Array.of(20, 21, 22, 23) } },
    at: [0, 5],
    seed: 1,
    ...changes,
  });

  it('lp-ft starts as the linear probe of the same examples', async () => {
    const penalty = 1e-2;
    const { accuracy, predictions } = await pool.run('fine-tune', input({ at: [0], penalty }));
    const { rows, columns, data, labels } = await pool.run('embed', {
      plan,
      model: globalModel(plan),
      source: { ...tinyImages(40), indices: first(8) },
    });
    const probe = linearProbe({ features: { rows, columns, data }, labels: labels! }, { classes: 4, penalty });
    const test = await pool.run('embed', { plan, model: globalModel(plan), source: tinyImages(60, 2) });
    expect([...predictions.test!]).toEqual([...classify(headOf(probe), test)]);
    expect(accuracy.test!.length).toBe(1);
  });

  it('learns from a random encoder, scores at each point asked for, and is the same for the same seed', async () => {
    const scratch = input({ tuning: tuning('full', 2e-2), model: undefined, at: [0, 10, 60], keep: true });
    const a = await pool.run('fine-tune', scratch);
    expect(a.accuracy.test![0]).toBeLessThan(0.5);
    expect(a.accuracy.test![2]).toBeGreaterThan(0.8);
    expect(a.accuracy.validation!.length).toBe(3);
    const right = a.hits.test!.map((hits) => hits.reduce((sum, hit) => sum + hit, 0) / hits.length);
    expect(right).toEqual(a.accuracy.test);
    expect(await pool.run('fine-tune', scratch)).toEqual(a);
    const b = await pool.run('fine-tune', { ...scratch, seed: 2 });
    expect(b.model!['encoder/dense0/kernel']).not.toEqual(a.model!['encoder/dense0/kernel']);
    // the weights that are returned are those that were scored
    const { rows, columns, data } = await pool.run('embed', { plan, model: a.model!, source: tinyImages(60, 2) });
    expect([...classify(a.model!, { rows, columns, data })]).toEqual([...a.predictions.test!]);
  });

  it('`head` leaves the encoder as it was', async () => {
    const { model } = await pool.run('fine-tune', input({ tuning: tuning('head'), keep: true }));
    for (const [name, array] of Object.entries(globalModel(plan))) {
      if (name.startsWith('encoder/')) expect(model![name]).toEqual(array);
    }
  });

  it('refuses a source without labels, and more classes than it was told of', async () => {
    const { groups: _, ...bare } = tinyImages(8);
    await expect(pool.run('fine-tune', input({ train: bare }))).rejects.toMatchObject({ code: 'data/unreadable' });
    await expect(pool.run('fine-tune', input({ tuning: { ...tuning('full'), classes: 3 } }))).rejects.toMatchObject({
      code: 'data/wrong-shape',
    });
  });
});

describe('fineTuneCurve', () => {
  /** A pool whose jobs answer from tables: accuracy by learning rate, number of steps and draw. */
  function tables(score: (set: string, rate: number, steps: number, seed: string) => number) {
    const asked: FineTuneInput[] = [];
    const run = (async (_: string, job: FineTuneInput) => {
      asked.push(job);
      const accuracy = Object.fromEntries(
        Object.keys(job.score).map((set) => [
          set,
          job.at.map((steps) => score(set, job.tuning.optimiser.learningRate, steps, String(job.seed))),
        ]),
      );
      // hits that name their steps and draw
      const named = job.at.map((steps) => Uint8Array.of(steps / 100, JSON.parse(String(job.seed))[2]));
      const hits = Object.fromEntries(Object.keys(job.score).map((set) => [set, named]));
      return { accuracy, hits, predictions: {}, loss: 0 };
    }) as unknown as TrainingPool['run'];
    return { asked, pool: { run } };
  }
  const curve = {
    plan,
    train: tinyImages(40),
    test: tinyImages(20, 2),
    draws: [Array.from({ length: 5 }, () => first(4)), Array.from({ length: 5 }, () => first(8))],
    validation: Int32Array.of(30, 31),
    settings: [tuning('full', 1e-3), tuning('full', 1e-2)],
    steps: [100, 300],
    seed: 1,
  };

  it('chooses setting and steps once per label count, by validation alone, and scores every draw with them', async () => {
    const { asked, pool: fake } = tables((set, rate, steps, seed) => {
      const few = JSON.parse(seed)[1] === 0;
      if (set === 'validation') return rate === (few ? 1e-3 : 1e-2) && steps === (few ? 300 : 100) ? 0.9 : 0.4;
      return rate + steps / 1e6 + JSON.parse(seed)[2] / 1e9; // says which was read
    });
    const result = await fineTuneCurve(fake, curve);
    expect(
      result.chosen.map(({ setting, steps, validationAccuracy }) => [
        setting.optimiser.learningRate,
        steps,
        validationAccuracy,
      ]),
    ).toEqual([
      [1e-3, 300, expect.closeTo(0.9, 9)],
      [1e-2, 100, expect.closeTo(0.9, 9)],
    ]);
    const expected = (rate: number, steps: number): number[] =>
      [0, 1, 2, 3, 4].map((j) => rate + steps / 1e6 + j / 1e9);
    expect(result.draws).toEqual([expected(1e-3, 300), expected(1e-2, 100)]);
    expect(result.hits.map((list) => list.map((right) => [...right]))).toEqual(
      [3, 1].map((steps) => [0, 1, 2, 3, 4].map((j) => [steps, j])),
    );
    // three draws are compared under both settings, two are trained with the chosen one, and only so far
    expect(asked.length).toBe(2 * (3 * 2 + 2));
    const late = asked.filter((job) => !('validation' in job.score));
    expect(late.map((job) => job.at)).toEqual([[300], [300], [100], [100]]);
    for (const job of asked) expect(job.train.indices).toEqual(curve.draws[JSON.parse(String(job.seed))[1]]![0]);
  });

  it('prefers the earlier setting and fewer steps where validation cannot tell', async () => {
    const { pool: fake } = tables(() => 0.5);
    const { chosen } = await fineTuneCurve(fake, curve);
    expect(chosen.map(({ setting, steps }) => [setting.optimiser.learningRate, steps])).toEqual([
      [1e-3, 100],
      [1e-3, 100],
    ]);
  });

  it('runs each draw once when there is nothing to choose', async () => {
    const { asked, pool: fake } = tables(() => 0.5);
    const seen: string[] = [];
    await fineTuneCurve(
      fake,
      { ...curve, settings: [tuning('lp-ft')], steps: [100], penalties: [1e-2, 1e-3] },
      { onProgress: ({ done, total }) => seen.push(`${done}/${total}`) },
    );
    expect(asked.length).toBe(10);
    expect(seen.at(-1)).toBe('10/10');
    for (const job of asked) expect(job.penalty).toBe([1e-2, 1e-3][JSON.parse(String(job.seed))[1]]);
  });
});
