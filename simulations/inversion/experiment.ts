/**
 * What a coordinator can make of updates: the same attack on one participant's update in the clear, on larger batches and more steps,
 * on a masked report, on a secure sum of five, and on a noised one. Real images, the real training job, the real reports and masks.
 */
import { openSource } from '../../learning/data/open.ts';
import type { BundledName, SourceSpec } from '../../learning/data/source.ts';
import { modelOf } from '../../learning/model.ts';
import type { TrainingPool } from '../../learning/pool/scheduler.ts';
import { completePlan } from '../../learning/registry.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { dequantise } from '../../protocol/fixed-point.ts';
import type { Plan } from '../../protocol/plan.ts';
import { noiseMultiplierFor } from '../../protocol/privacy/noise-multiplier.ts';
import { permutation, stream } from '../../protocol/random.ts';
import { buildReport, openSum } from '../../protocol/report.ts';
import { type Exchange, exchangesOf } from '../../protocol/sections.ts';
import { sizeOf } from '../../protocol/tensors.ts';
import { correlation, type Guesses, invertFirstLayer } from './attack.ts';
import { secureSum } from './secure-sum.ts';

export interface InversionOptions {
  readonly pool: TrainingPool;
  readonly dataset?: BundledName;
  readonly seed?: number;
  /** Numbers of images in a participant's one step. */
  readonly batches?: readonly number[];
  /** Numbers of steps on eight images. */
  readonly steps?: readonly number[];
}

/** A private image beside the guess that is most like it. */
export interface Pair {
  readonly truth: Float32Array;
  readonly guess: Float64Array;
  readonly correlation: number;
}

/** The attack in one setting. */
export interface Scene {
  readonly kind: 'clear' | 'masked' | 'sum' | 'noised';
  readonly title: string;
  readonly images: number;
  readonly steps: number;
  /** The first few private images, and the guess that is most like each. */
  readonly pairs: readonly Pair[];
  /** Mean over the private images of the correlation with the best guess. */
  readonly correlation: number;
  /** The same with images that nobody here holds: what guessing well by chance looks like. */
  readonly chance: number;
  /** Share of the private images that some guess shows, with a correlation above 0.95. */
  readonly recovered: number;
}

export interface InversionResult {
  readonly dataset: string;
  readonly shape: readonly [number, number, number];
  readonly epsilon: number;
  readonly delta: number;
  readonly noiseMultiplier: number;
  readonly scenes: readonly Scene[];
}

const PARTIES = 5;
const EPSILON = 8;
const DELTA = 1e-5;
const SHOWN = 6;
const GUESSES = 16;
const SEEN = 0.95;

const SHAPES: Readonly<Record<BundledName, [number, number, 1]>> = { digits: [8, 8, 1], 'fashion-mnist': [28, 28, 1] };

const NOISE_MULTIPLIER = noiseMultiplierFor({ epsilon: EPSILON, delta: DELTA, rounds: 1, sampling: 1 });

function planFor(dataset: BundledName, images: number, steps: number, noised = false): Plan {
  const noise = {
    mode: 'secagg+dp',
    clipNorm: 1,
    noiseMultiplier: NOISE_MULTIPLIER * 1.0001,
    epsilon: EPSILON,
    delta: DELTA,
  };
  return completePlan({
    version: 1,
    task: 'inversion',
    data: { shape: SHAPES[dataset], minExamples: 1 },
    encoder: { name: 'mlp', hidden: [128], dim: 64 },
    // beyond the default μ projections would be cut to one length, and equal views of one image would have no gradient at all
    pretext: { name: 'spectral', mu: 100, projector: { hidden: [64], dim: 32 } },
    // no crop, flip or colour: the views are the image itself
    augmentation: { name: 'image' },
    training: { steps, batch: Math.max(2, images), optimiser: { name: 'sgd', learningRate: 0.001, momentum: 0 } },
    rounds: { count: 1, cohort: PARTIES, maxCohort: PARTIES, minReports: PARTIES, overSelection: 1 },
    privacy: noised ? noise : { mode: 'sealed', clipNorm: 1, weights: 'uniform' },
  });
}

/** The first layer's part of a flat delta. */
function firstKernel(plan: Plan, delta: Float32Array): Float32Array {
  let at = 0;
  for (const [name, { shape }] of Object.entries(modelOf(plan).aggregated)) {
    const length = sizeOf(shape);
    if (name.endsWith('encoder/dense0/kernel')) return delta.subarray(at, at + length);
    at += length;
  }
  throw new Error('the encoder has no first dense layer');
}

/** One participant's words after its local training on these images. */
async function wordsOf(pool: TrainingPool, plan: Plan, source: SourceSpec, name: string): Promise<Int32Array> {
  const model = modelOf(plan);
  const all = model.init(plan.seed);
  const global = Object.fromEntries(Object.keys(model.aggregated).map((key) => [key, all[key]!]));
  const place = { participant: name, round: 0, attempt: 0, seed: name };
  const { delta, loss, examples } = await pool.run('train', { plan, model: global, source, ...place });
  const values = { delta, 'metrics/loss': Float32Array.of(loss) };
  return buildReport(plan, exchangesOf(plan, model.reportShape)[0]!, values, examples, { crypto: nodeCrypto });
}

function sceneOf(
  about: Pick<Scene, 'kind' | 'title' | 'images' | 'steps'>,
  guesses: Guesses,
  truths: readonly Float32Array[],
  strangers: readonly Float32Array[],
): Scene {
  const best = (truth: Float32Array): Pair =>
    guesses
      .map((guess): Pair => ({ truth, guess, correlation: correlation(guess, truth) }))
      .reduce((a, b) => (b.correlation > a.correlation ? b : a), {
        truth,
        guess: new Float64Array(truth.length),
        correlation: 0,
      });
  const pairs = truths.map(best);
  const mean = (values: readonly { correlation: number }[]): number =>
    values.reduce((sum, value) => sum + value.correlation, 0) / values.length;
  return {
    ...about,
    pairs: pairs.slice(0, SHOWN),
    correlation: mean(pairs),
    chance: mean(strangers.map(best)),
    recovered: pairs.filter((pair) => pair.correlation > SEEN).length / pairs.length,
  };
}

/** What all scenes share. */
interface Lab {
  readonly pool: TrainingPool;
  readonly dataset: BundledName;
  readonly source: SourceSpec;
  readonly pixels: number;
  /** A seeded order of all images: private ones are taken from its start, strangers from its end. */
  readonly order: Int32Array;
  read(indices: Int32Array): Promise<Float32Array[]>;
  readonly strangers: readonly Float32Array[];
}

async function openLab(pool: TrainingPool, dataset: BundledName, seed: number): Promise<Lab> {
  const pixels = sizeOf(SHAPES[dataset]);
  const source: SourceSpec = { kind: 'bundled', name: dataset, split: 'train' };
  const data = await openSource(source, planFor(dataset, 1, 1).data);
  const order = permutation(stream(seed, 'inversion'), data.length);
  const read = async (indices: Int32Array): Promise<Float32Array[]> => {
    const { image } = await data.read(indices);
    return Array.from(indices, (_, k) => (image!.data as Float32Array).slice(k * pixels, (k + 1) * pixels));
  };
  return { pool, dataset, source, pixels, order, read, strangers: await read(order.slice(-32)) };
}

const exchangeOf = (plan: Plan): Exchange => exchangesOf(plan, modelOf(plan).reportShape)[0]!;
const guessesFrom = ({ pixels }: Lab, plan: Plan, delta: Float32Array): Guesses =>
  invertFirstLayer(firstKernel(plan, delta), pixels, GUESSES);
const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;

/** One participant's update as the coordinator reads it in mode `sealed`. */
async function clearScene(lab: Lab, images: number, steps: number): Promise<Scene> {
  const plan = planFor(lab.dataset, images, steps);
  const held = lab.order.slice(0, images);
  const words = await wordsOf(lab.pool, plan, { ...lab.source, indices: held }, 'victim');
  const { delta } = openSum(plan, exchangeOf(plan), words).sections;
  const title = `one participant in the clear: ${count(images, 'image')}, ${count(steps, 'step')}`;
  const guesses = guessesFrom(lab, plan, delta!);
  return sceneOf({ kind: 'clear', title, images, steps }, guesses, await lab.read(held), lab.strangers);
}

/** The words of five participants with so many images each, after one step, and whose images they are. */
async function cohort(lab: Lab, plan: Plan, images: number): Promise<{ words: Int32Array[]; truths: Float32Array[] }> {
  const words: Int32Array[] = [];
  for (let k = 0; k < PARTIES; k++) {
    const indices = lab.order.slice(k * images, (k + 1) * images);
    words.push(await wordsOf(lab.pool, plan, { ...lab.source, indices }, `participant ${k}`));
  }
  return { words, truths: await lab.read(lab.order.slice(0, PARTIES * images)) };
}

/** The same under masks: what arrives from one participant, and the sum. */
async function maskedScenes(lab: Lab, images: number): Promise<Scene[]> {
  const plan = planFor(lab.dataset, images, 1);
  const { words, truths } = await cohort(lab, plan, images);
  const { masked, sum } = await secureSum(words);
  const guess = (ring: Int32Array): Guesses => {
    const { delta } = dequantise(exchangeOf(plan), ring, plan.rounds.maxCohort);
    return guessesFrom(lab, plan, new Float32Array(delta!));
  };
  const each = `${count(images, 'image')} and 1 step each`;
  const about = { images, steps: 1 };
  const one = `the masked report of one participant (secagg), ${count(images, 'image')}, 1 step`;
  const all = `the sum over ${PARTIES} participants (secagg), ${each}`;
  return [
    sceneOf({ kind: 'masked', title: one, ...about }, guess(masked), truths.slice(0, images), lab.strangers),
    sceneOf({ kind: 'sum', title: all, ...about }, guess(sum), truths, lab.strangers),
  ];
}

/** The same with each participant's noise in the sum. */
async function noisedScene(lab: Lab, images: number): Promise<Scene> {
  const plan = planFor(lab.dataset, images, 1, true);
  const { words, truths } = await cohort(lab, plan, images);
  const { sum } = await secureSum(words);
  const { delta } = openSum(plan, exchangeOf(plan), sum).sections;
  const title = `the noised sum over ${PARTIES} participants (secagg+dp, ε = ${EPSILON}), ${count(images, 'image')} and 1 step each`;
  return sceneOf({ kind: 'noised', title, images, steps: 1 }, guessesFrom(lab, plan, delta!), truths, lab.strangers);
}

/** Runs every setting, from the easiest for an attacker to the hardest. */
export async function runInversion(options: InversionOptions): Promise<InversionResult> {
  const { pool, dataset = 'digits', seed = 0, batches = [1, 2, 4, 8, 16, 64], steps = [4, 16, 64] } = options;
  const lab = await openLab(pool, dataset, seed);
  const scenes: Scene[] = [];
  for (const images of batches) scenes.push(await clearScene(lab, images, 1));
  for (const n of steps) scenes.push(await clearScene(lab, 8, n));
  for (const images of [1, 16]) scenes.push(...(await maskedScenes(lab, images)));
  scenes.push(await noisedScene(lab, 1));
  return {
    dataset,
    shape: SHAPES[dataset],
    epsilon: EPSILON,
    delta: DELTA,
    noiseMultiplier: NOISE_MULTIPLIER,
    scenes,
  };
}
