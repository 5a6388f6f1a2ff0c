/**
 * The programs of strategy `shared-statistics`: what a participant measures, its gradient given everybody's mean, and a local step.
 * Inputs as in train-step.ts, and besides:
 *
 * | name | what | |
 * |---|---|---|
 * | `shared/everybody`, `shared/own` | mean statistics of everybody, and one's own in it | set |
 * | `scalars/share` | how much of the mean follows one's own parameters | fed |
 * | `preconditioner/<group>/<name>` | the factor of each coordinate of a local step | set |
 */
import type { Tensor } from '@tensorflow/tfjs';
import { TacitError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import type { NamedSpecs, TensorSpec } from '../protocol/tensors.ts';
import type { SharedStatistics } from './contracts.ts';
import type { Program, Tensors } from './engine/engine.ts';
import { contextOf, pretextOf } from './methods.ts';
import { modelOf } from './model.ts';
import { under, within } from './names.ts';
import type { Ops } from './ops/ops.ts';
import { lossInputs, lossSpecs, parametersOf, programName, select, valueAndGradients } from './train-step.ts';

const SCALAR: TensorSpec = { shape: [], dtype: 'float32' };

/** What the plan's task can share. @throws TacitError plan/refused if it is nothing */
export function statisticsOf(plan: Plan): SharedStatistics {
  const { name, statistics } = pretextOf(plan);
  if (statistics) return statistics;
  throw new TacitError('plan/refused', `the task ${name} has no statistics to share`, {
    where: 'strategy.name',
    hint: 'Use the task spectral, or the strategy fedavg.',
  });
}

const partsOf = ({ encoder, pretext, augmentation, data }: Plan): readonly unknown[] => [
  encoder,
  pretext,
  augmentation,
  data,
];

/** The inputs of the loss → `statistics`, the mean over the batch's views. */
export function statisticsProgram(plan: Plan): Program {
  const measured = statisticsOf(plan);
  return {
    name: programName('statistics', plan, partsOf(plan)),
    inputs: lossSpecs(plan, modelOf(plan)),
    run: (nn, inputs) => {
      const data = { ...lossInputs(nn, plan, inputs), params: parametersOf(inputs) };
      return { statistics: measured.measure(nn, data, contextOf(plan)) };
    },
  };
}

function sharedSpecs(plan: Plan): NamedSpecs {
  const spec = statisticsOf(plan).spec(contextOf(plan));
  return {
    ...lossSpecs(plan, modelOf(plan)),
    'shared/everybody': spec,
    'shared/own': spec,
    'scalars/share': SCALAR,
  };
}

function sharedGradients(nn: Ops, plan: Plan, inputs: Tensors): { loss: Tensor; gradients: Record<string, Tensor> } {
  const data = { ...lossInputs(nn, plan, inputs), params: parametersOf(inputs) };
  const { everybody, own } = within('shared', inputs);
  const shared = { everybody: everybody!, own: own!, share: inputs['scalars/share']! };
  return valueAndGradients(plan, nn, inputs, () => statisticsOf(plan).loss(nn, data, contextOf(plan), shared));
}

/** → `grads/<group>/<name>`, not clipped, and `metrics/loss`; carries nothing. */
export function sharedGradientProgram(plan: Plan): Program {
  return {
    name: programName('shared-gradient', plan, partsOf(plan)),
    inputs: sharedSpecs(plan),
    run: (nn, inputs) => {
      const { loss, gradients } = sharedGradients(nn, plan, inputs);
      return { ...under('grads', gradients), 'metrics/loss': loss };
    },
  };
}

/** One local step, y ← y − η·D⊙g, without a state of its own → new parameters (carried) and `metrics/loss`. */
export function sharedStepProgram(plan: Plan): Program {
  const model = modelOf(plan);
  return {
    name: programName('shared-step', plan, partsOf(plan)),
    inputs: {
      ...sharedSpecs(plan),
      ...under('preconditioner', select(model, model.specs, true)),
      'scalars/learningRate': SCALAR,
    },
    run: (nn, inputs) => {
      const { tf } = nn;
      const { loss, gradients } = sharedGradients(nn, plan, inputs);
      const rate = inputs['scalars/learningRate']!;
      const factors = within('preconditioner', inputs);
      const stepped = Object.entries(within('params', inputs)).map(([name, parameter]): [string, Tensor] => [
        name,
        tf.sub(parameter, tf.mul(tf.mul(gradients[name]!, factors[name]!), rate)),
      ]);
      return { ...under('params', Object.fromEntries(stepped)), 'metrics/loss': loss };
    },
  };
}
