/** The training steps that engines are timed on, without augmentation: a batch of 64 images, two views each, SGD with momentum. */
import { modelOf } from '../learning/model.ts';
import { completePlan } from '../learning/registry.ts';
import { drawStep, initialState, scalarsAt, stateNames, trainProgram } from '../learning/train-step.ts';
import type { Plan } from '../protocol/plan.ts';
import { stream } from '../protocol/random.ts';
import { float32, type NamedArrays, sizeOf } from '../protocol/tensors.ts';

export const BATCH = 64;

const planOf = (task: string, shape: readonly number[], encoder: object, pretext: object, batch: number): Plan =>
  completePlan({
    version: 1,
    task,
    data: { shape },
    encoder,
    pretext,
    augmentation: { name: 'image' },
    training: { steps: 1, batch, optimiser: { name: 'sgd', learningRate: 0.001, momentum: 0.9 } },
    rounds: { count: 1, cohort: 2 },
    privacy: { mode: 'sealed', clipNorm: 1 },
  });

/** Plans by the name of their step; the batch can be made smaller for engines that would take minutes. */
export const STEPS = {
  'simclr-conv4': (batch = BATCH) =>
    planOf(
      'simclr-conv4',
      [32, 32, 3],
      { name: 'conv', filters: [32, 64, 128, 128], strides: [1, 2, 2, 1], groups: 8 },
      { name: 'simclr' },
      batch,
    ),
  'vicreg-resnet8': (batch = BATCH) =>
    planOf('vicreg-resnet8', [28, 28, 1], { name: 'resnet', depth: 8 }, { name: 'vicreg' }, batch),
  'spectral-mlp': (batch = BATCH) => planOf('spectral-mlp', [8, 8, 1], { name: 'mlp' }, { name: 'spectral' }, batch),
} as const;

export type StepName = keyof typeof STEPS;

export interface PreparedStep {
  readonly program: ReturnType<typeof trainProgram>;
  /** Set once. */
  readonly state: NamedArrays;
  /** Given to every run. */
  readonly feeds: NamedArrays;
}

/** A step with its first state and one batch of random images. */
export function prepare(plan: Plan): PreparedStep {
  const program = trainProgram(plan);
  const rng = stream(1, 'images');
  const shape = [plan.training.batch, ...plan.data.shape];
  const images = float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => rng.next()),
  );
  const feeds = { 'batch/images': images, ...drawStep(plan, stream(1, 'draws')), ...scalarsAt(plan, 0) };
  const held = new Set(stateNames(program));
  return {
    program,
    state: initialState(plan, modelOf(plan).init(1)),
    feeds: Object.fromEntries(Object.entries(feeds).filter(([name]) => program.inputs[name] && !held.has(name))),
  };
}
