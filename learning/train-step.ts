/**
 * The programs of a plan: one training step, its gradient alone, and the encoder alone. Closed graphs over named tensors:
 *
 * | name | what | |
 * |---|---|---|
 * | `params/<group>/<name>` | parameters that are trained | carried |
 * | `optimiser/<group>/<name>/…` | the optimiser's state | carried |
 * | `aux/<group>/<name>` | groups that no gradient moves (EMA target, queue) | carried |
 * | `frozen/<name>` | fixed within a round | set |
 * | `batch/images` | [batch, h, w, c] in [0, 1] | fed |
 * | `draws/view<i>/<name>`, `draws/task/<name>` | every random number of the step | fed |
 * | `scalars/learningRate`, `scalars/<name>` | every schedule | fed |
 * | `metrics/loss` | | returned |
 */
import type { Scalar, Tensor } from '@tensorflow/tfjs';
import { TacitError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import { type Rng, stream } from '../protocol/random.ts';
import type { NamedArrays, NamedSpecs, TensorSpec } from '../protocol/tensors.ts';
import { float32, scalar } from '../protocol/tensors.ts';
import type { GroupedTensors, LossInputs } from './contracts.ts';
import type { Program, Tensors } from './engine/engine.ts';
import { augmentationOf, contextOf, encoderOf, pretextOf } from './methods.ts';
import { type Model, modelOf } from './model.ts';
import { grouped, under, within } from './names.ts';
import type { Ops } from './ops/ops.ts';
import { clipByNorm, optimiserOf } from './optimiser.ts';
import { learningRateAt } from './schedule.ts';
import { drawView, normalise, viewOf, viewSpecs } from './views.ts';

const SCALAR: TensorSpec = { shape: [], dtype: 'float32' };

/** A name that differs whenever the graph may: `train:spectral:mlp#9f2c…`. */
export function programName(kind: string, plan: Plan, parts: readonly unknown[]): string {
  const words = stream(JSON.stringify(parts), 'program');
  const digest = [words.uint32(), words.uint32()].map((word) => word.toString(16).padStart(8, '0')).join('');
  const task = kind === 'encode' ? '' : `:${plan.pretext.name}`;
  return `${kind}${task}:${plan.encoder.name}#${digest}`;
}

/** The entries `<group>/<name>` of groups that are trained, or of those that are not. */
export function select<T>(model: Model, entries: Readonly<Record<string, T>>, trainable: boolean): Record<string, T> {
  const groups = model.groups.filter((group) => group.trainable === trainable).map((group) => group.name);
  return Object.assign({}, ...groups.map((group) => under(group, within(group, entries))));
}

const viewNames = (plan: Plan): readonly string[] =>
  Array.from({ length: pretextOf(plan).views }, (_, i) => `draws/view${i}`);

/** Inputs of the loss: everything of a step except the optimiser's state and the learning rate. */
export function lossSpecs(plan: Plan, model: Model): NamedSpecs {
  const context = contextOf(plan);
  const task = pretextOf(plan);
  return {
    ...under('params', select(model, model.specs, true)),
    ...under('aux', select(model, model.specs, false)),
    ...under('frozen', task.frozen?.(context) ?? {}),
    'batch/images': { shape: [plan.training.batch, ...plan.data.shape], dtype: 'float32' },
    ...Object.assign({}, ...viewNames(plan).map((name) => under(name, viewSpecs(plan)))),
    ...under('draws/task', task.draws?.specs(context) ?? {}),
    ...under('scalars', Object.fromEntries(Object.keys(task.scalars?.(context, 0) ?? {}).map((n) => [n, SCALAR]))),
  };
}

/** The step's inputs as the task sees them; views are made here, outside of the gradient. */
export function lossInputs(nn: Ops, plan: Plan, inputs: Tensors): Omit<LossInputs, 'params'> {
  const images = inputs['batch/images']!;
  return {
    frozen: within('frozen', inputs),
    images: normalise(nn, images, plan),
    views: viewNames(plan).map((name) => viewOf(nn, images, within(name, inputs), plan)),
    draws: within('draws/task', inputs),
    scalars: within('scalars', inputs),
  };
}

/** The parameters of a step by group, those that no gradient moves included. */
export const parametersOf = (inputs: Tensors): GroupedTensors =>
  grouped({ ...within('aux', inputs), ...within('params', inputs) });

/** A loss and its gradient with respect to every parameter that is trained, by `<group>/<name>`. */
export function valueAndGradients(plan: Plan, nn: Ops, inputs: Tensors, lossOf: () => Tensor) {
  const trained = within('params', inputs);
  const names = Object.keys(trained);
  const { value, grads } = nn.tf.engine().gradients(lossOf as () => Scalar, Object.values(trained), undefined, true);
  const without = names.find((_, i) => !grads[i]);
  const task = plan.pretext.name;
  if (without !== undefined)
    throw new TacitError('internal', `the loss of "${task}" does not depend on ${without}`, { where: task });
  return { loss: value, gradients: Object.fromEntries(names.map((name, i) => [name, grads[i]!])) };
}

/** Gradients as the optimiser takes them: clipped if the plan clips. */
export const clipAsPlanned = (nn: Ops, { training }: Plan, gradients: Tensors): Tensors =>
  training.clipGradient === null ? gradients : clipByNorm(nn, gradients, training.clipGradient);

/** The task's own loss and its gradient, clipped if the plan clips. */
function lossAndGradients(nn: Ops, plan: Plan, inputs: Tensors, data: Omit<LossInputs, 'params'>) {
  const params = parametersOf(inputs);
  const { loss, gradients } = valueAndGradients(plan, nn, inputs, () =>
    pretextOf(plan).loss(nn, { ...data, params }, contextOf(plan)),
  );
  return { loss, gradients: clipAsPlanned(nn, plan, gradients) };
}

/** One training step: all inputs of the table above → new parameters, optimiser state and aux groups, `metrics/loss`. */
export function trainProgram(plan: Plan): Program {
  const model = modelOf(plan);
  const task = pretextOf(plan);
  const optimiser = optimiserOf(plan.training.optimiser);
  const trainable = select(model, model.specs, true);
  const { optimiser: options, clipGradient } = plan.training;
  return {
    name: programName('train', plan, [plan.encoder, plan.pretext, plan.augmentation, plan.data, options, clipGradient]),
    inputs: {
      ...lossSpecs(plan, model),
      ...under('optimiser', optimiser.state(trainable)),
      'scalars/learningRate': SCALAR,
    },
    run: (nn, inputs) => {
      const data = lossInputs(nn, plan, inputs);
      const { loss, gradients } = lossAndGradients(nn, plan, inputs, data);
      const rate = inputs['scalars/learningRate']!;
      const next = optimiser.apply(nn, within('params', inputs), gradients, within('optimiser', inputs), rate);
      const params: GroupedTensors = grouped({ ...within('aux', inputs), ...next.params });
      const moved = task.afterStep?.(nn, { ...data, params }, contextOf(plan)) ?? {};
      return {
        ...under('params', next.params),
        ...under('optimiser', next.state),
        ...Object.assign({}, ...Object.entries(moved).map(([group, values]) => under(`aux/${group}`, values))),
        'metrics/loss': loss,
      };
    },
  };
}

/** The inputs of the loss → `grads/<group>/<name>` (clipped if the plan clips) and `metrics/loss`; carries nothing. */
export function gradientProgram(plan: Plan): Program {
  const { encoder, pretext, augmentation, data, training } = plan;
  return {
    name: programName('gradient', plan, [encoder, pretext, augmentation, data, training.clipGradient]),
    inputs: lossSpecs(plan, modelOf(plan)),
    run: (nn, inputs) => {
      const { loss, gradients } = lossAndGradients(nn, plan, inputs, lossInputs(nn, plan, inputs));
      return { ...under('grads', gradients), 'metrics/loss': loss };
    },
  };
}

/** `images` [−1, h, w, c] in [0, 1] and `params/encoder/…` → `embeddings` [−1, dim]. The first axis is any batch. */
export function encodeProgram(plan: Plan): Program {
  return {
    name: programName('encode', plan, [plan.encoder, plan.data]),
    inputs: {
      ...under('params', modelOf(plan).encoderSpecs),
      images: { shape: [-1, ...plan.data.shape], dtype: 'float32' },
    },
    run: (nn, inputs) => {
      const images = normalise(nn, inputs.images!, plan);
      return { embeddings: encoderOf(plan).apply(nn, within('params/encoder', inputs), images, plan.encoder) };
    },
  };
}

/** The random numbers of one step, by input name. Steps of one stream must be drawn in order. */
export function drawStep(plan: Plan, rng: Rng): NamedArrays {
  const views = viewNames(plan).map((name) => under(name, drawView(plan, rng)));
  return Object.assign({}, ...views, under('draws/task', pretextOf(plan).draws?.draw(rng, contextOf(plan)) ?? {}));
}

/** Every scalar input of a step in that round: `scalars/learningRate` and what the pretext task asks for. */
export function scalarsAt(plan: Plan, round: number): NamedArrays {
  const own = pretextOf(plan).scalars?.(contextOf(plan), round / plan.rounds.count) ?? {};
  const values = { ...own, learningRate: learningRateAt(plan, round) };
  return under('scalars', Object.fromEntries(Object.entries(values).map(([name, value]) => [name, scalar(value)])));
}

/** What `Executable.set` takes before the first step: all parameters of the model, and the optimiser's state (zero if not given). */
export function initialState(plan: Plan, parameters: NamedArrays, optimiser?: NamedArrays): NamedArrays {
  const model = modelOf(plan);
  const specs = optimiserOf(plan.training.optimiser).state(select(model, model.specs, true));
  const zeros = Object.fromEntries(Object.entries(specs).map(([name, { shape }]) => [name, float32(shape)]));
  return {
    ...under('params', select(model, parameters, true)),
    ...under('aux', select(model, parameters, false)),
    ...under('optimiser', optimiser ?? zeros),
  };
}

/** Names of the inputs that a step carries, for `Executable.get` after training. */
export const stateNames = (program: Program): readonly string[] =>
  Object.keys(program.inputs).filter((name) => /^(params|aux|optimiser)\//.test(name));

/** The parameters of the model in what `Executable.get` gave, by `<group>/<name>`. */
export const parametersIn = (state: NamedArrays): NamedArrays => ({
  ...within('params', state),
  ...within('aux', state),
});

/** The optimiser's state in what `Executable.get` gave; `initialState` takes it. */
export const optimiserIn = (state: NamedArrays): NamedArrays => within('optimiser', state);

/** `images` [n, h, w, c] in [0, 1] and `draws/…` → `view`, one augmented view of each, in [0, 1] and not normalised. */
export function viewProgram(plan: Plan, batch: number): Program {
  return {
    name: programName('view', plan, [plan.augmentation, plan.data, batch]),
    inputs: {
      images: { shape: [batch, ...plan.data.shape], dtype: 'float32' },
      ...under('draws', viewSpecs(plan, batch)),
    },
    run: (nn, inputs) => ({
      view: augmentationOf(plan).apply(nn, inputs.images!, within('draws', inputs), plan.augmentation),
    }),
  };
}
