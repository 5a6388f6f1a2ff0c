/**
 * Supervised training of an encoder and a linear head on few labels, with the plan's augmentation.
 *   lp-ft  the head from a linear probe, then all weights at a small learning rate (Kumar et al., ICLR 2022): a random head
 *          would wreck the encoder before it learns anything
 *   full   all weights, the head from zero; with a random encoder this is the baseline "from scratch"
 *   head   the head alone, from zero
 * One step is a closed graph: `params/…`, `optimiser/…` (carried), `frozen/encoder/…` (set, for `head`), `batch/images` in
 * [0, 1], `batch/labels` one-hot, `draws/view/…`, `scalars/learningRate` → new state and `metrics/loss`.
 */
import type { Scalar, Tensor } from '@tensorflow/tfjs';
import type { OptimiserSpec, Plan } from '../protocol/plan.ts';
import { type Rng, stream } from '../protocol/random.ts';
import { float32, type NamedArrays, type NamedSpecs, scalar, sizeOf } from '../protocol/tensors.ts';
import type { Program, Tensors } from './engine/engine.ts';
import type { Features } from './evaluation/features.ts';
import type { LinearProbe } from './evaluation/linear-probe.ts';
import { encoderOf } from './methods.ts';
import { modelOf } from './model.ts';
import { under, within } from './names.ts';
import { withGradient } from './ops/custom-gradient.ts';
import type { Ops } from './ops/ops.ts';
import { optimiserOf } from './optimiser.ts';
import { drawView, viewOf, viewSpecs } from './views.ts';

export type FineTuningMethod = Plan['fineTuning']['method'];

export interface FineTuning {
  readonly method: FineTuningMethod;
  readonly classes: number;
  readonly batch: number;
  readonly optimiser: OptimiserSpec;
}

/** `head/kernel` [dim, classes] and `head/bias` [classes]. */
export const headSpecs = (plan: Plan, classes: number): NamedSpecs => ({
  'head/kernel': { shape: [encoderOf(plan).dim(plan.encoder), classes], dtype: 'float32' },
  'head/bias': { shape: [classes], dtype: 'float32' },
});

const zeros = (specs: NamedSpecs): NamedArrays =>
  Object.fromEntries(Object.entries(specs).map(([name, { shape }]) => [name, float32(shape)]));

/** A head that gives every class the same probability. */
export const zeroHead = (plan: Plan, classes: number): NamedArrays => zeros(headSpecs(plan, classes));

/** The probe as a head: its weights are over the features as they come from the encoder. */
export function headOf({ classes, columns, weights, bias }: LinearProbe): NamedArrays {
  const kernel = new Float32Array(columns * classes);
  for (let c = 0; c < classes; c++)
    for (let j = 0; j < columns; j++) kernel[j * classes + c] = weights[c * columns + j]!;
  return {
    'head/kernel': float32([columns, classes], kernel),
    'head/bias': float32([classes], Float32Array.from(bias)),
  };
}

/** Class with the largest score for each row of embeddings. */
export function classify(head: NamedArrays, { rows, columns, data }: Features): Int32Array {
  const kernel = head['head/kernel']!.data;
  const bias = head['head/bias']!.data;
  const classes = bias.length;
  const scores = new Float64Array(classes);
  return Int32Array.from({ length: rows }, (_, i) => {
    for (let c = 0; c < classes; c++) scores[c] = bias[c]!;
    for (let j = 0; j < columns; j++) {
      const x = data[i * columns + j]!;
      for (let c = 0; c < classes; c++) scores[c]! += x * kernel[j * classes + c]!;
    }
    return scores.indexOf(Math.max(...scores));
  });
}

/** Mean cross-entropy of logits [batch, classes] against one-hot labels, with its gradient (softmax − labels) / batch. */
export function crossEntropy({ tf }: Ops, logits: Tensor, labels: Tensor): Scalar {
  const batch = logits.shape[0]!;
  return withGradient(tf, {
    inputs: { logits },
    forward: (save) => {
      const shifted = tf.sub(logits, tf.max(logits, -1, true));
      const exponentials = tf.exp(shifted);
      const sums = tf.sum(exponentials, -1, true);
      save([tf.div(exponentials, sums)]);
      const own = tf.sum(tf.mul(labels, shifted), -1, true);
      return tf.mean(tf.sub(tf.log(sums), own));
    },
    gradient: (dy, [probabilities]) => ({
      logits: () => tf.mul(tf.sub(probabilities!, labels), tf.div(dy, batch)),
    }),
  }) as Scalar;
}

/** All weights of encoder and head that the method trains, and those that it leaves. */
function divide(plan: Plan, { method, classes }: FineTuning): { trained: NamedSpecs; frozen: NamedSpecs } {
  const encoder = modelOf(plan).encoderSpecs;
  const head = headSpecs(plan, classes);
  return method === 'head' ? { trained: head, frozen: encoder } : { trained: { ...encoder, ...head }, frozen: {} };
}

function nameOf(plan: Plan, { method, optimiser, classes }: FineTuning): string {
  const { learningRate: _, ...options } = optimiser;
  const words = stream(JSON.stringify([plan.encoder, plan.augmentation, plan.data, options, classes]), 'program');
  const digest = words.uint32().toString(16) + words.uint32().toString(16);
  return `fine-tune:${method === 'head' ? 'head' : 'all'}:${plan.encoder.name}#${digest}`;
}

/** One step of supervised training. */
export function fineTuneProgram(plan: Plan, tuning: FineTuning): Program {
  const { batch, classes } = tuning;
  const { trained, frozen } = divide(plan, tuning);
  const optimiser = optimiserOf(tuning.optimiser);
  const names = Object.keys(trained);
  return {
    name: nameOf(plan, tuning),
    inputs: {
      ...under('params', trained),
      ...under('frozen', frozen),
      ...under('optimiser', optimiser.state(trained)),
      'batch/images': { shape: [batch, ...plan.data.shape], dtype: 'float32' },
      'batch/labels': { shape: [batch, classes], dtype: 'float32' },
      ...under('draws/view', viewSpecs(plan, batch)),
      'scalars/learningRate': { shape: [], dtype: 'float32' },
    },
    run: (nn, inputs) => {
      const params = within('params', inputs);
      const fixed = within('frozen', inputs);
      const images = viewOf(nn, inputs['batch/images']!, within('draws/view', inputs), plan);
      const lossOf = (...tensors: Tensor[]): Scalar => {
        const weights: Tensors = { ...fixed, ...Object.fromEntries(names.map((name, i) => [name, tensors[i]!])) };
        const z = encoderOf(plan).apply(nn, within('encoder', weights), images, plan.encoder);
        return crossEntropy(nn, nn.dense(z, weights['head/kernel']!, weights['head/bias']), inputs['batch/labels']!);
      };
      const { value, grads } = nn.tf.valueAndGrads(lossOf)(names.map((name) => params[name]!));
      const gradients = Object.fromEntries(names.map((name, i) => [name, grads[i]!]));
      const next = optimiser.apply(nn, params, gradients, within('optimiser', inputs), inputs['scalars/learningRate']!);
      return { ...under('params', next.params), ...under('optimiser', next.state), 'metrics/loss': value };
    },
  };
}

/** What `Executable.set` takes before the first step. weights: `encoder/…` and `head/…` */
export function fineTuneState(plan: Plan, tuning: FineTuning, weights: NamedArrays): NamedArrays {
  const { trained, frozen } = divide(plan, tuning);
  const take = (specs: NamedSpecs): NamedArrays =>
    Object.fromEntries(Object.keys(specs).map((name) => [name, weights[name]!]));
  return {
    ...under('params', take(trained)),
    ...under('frozen', take(frozen)),
    ...under('optimiser', zeros(optimiserOf(tuning.optimiser).state(trained))),
  };
}

/** What a step is fed: images [batch, h, w, c], class of each, and the view's random draws. */
export function fineTuneFeeds(
  plan: Plan,
  { batch, classes, optimiser }: FineTuning,
  images: NamedArrays[string],
  labels: Int32Array,
  rng: Rng,
): NamedArrays {
  const oneHot = new Float32Array(sizeOf([batch, classes]));
  labels.forEach((label, i) => {
    oneHot[i * classes + label] = 1;
  });
  return {
    'batch/images': images,
    'batch/labels': float32([batch, classes], oneHot),
    ...under('draws/view', drawView(plan, rng, batch)),
    'scalars/learningRate': scalar(optimiser.learningRate),
  };
}
