/**
 * One step of centralised training on the batches of several participants put together: the loss on all data with a weight for each
 * image, differentiated as it stands, and the plan's optimiser, in one closed graph. Inputs as in train-step.ts, except that
 * the views come ready made, each participant's by its own draws:
 *
 * | name | what | |
 * |---|---|---|
 * | `batch/view<i>` | [batch, h, w, c] in [0, 1], augmented and not normalised | fed |
 * | `batch/weights` | [batch], adding up to 1 | fed |
 */
import type { Plan } from '../protocol/plan.ts';
import type { Program } from './engine/engine.ts';
import { contextOf, pretextOf } from './methods.ts';
import { modelOf } from './model.ts';
import { under, within } from './names.ts';
import { optimiserOf } from './optimiser.ts';
import { statisticsOf } from './shared-step.ts';
import { clipAsPlanned, parametersOf, programName, select, valueAndGradients } from './train-step.ts';
import { normalise } from './views.ts';

/** @param batch images of all participants together → new parameters and optimiser state (carried) and `metrics/loss` */
export function pooledTrainProgram(plan: Plan, batch: number): Program {
  const model = modelOf(plan);
  const { optimiser: options, clipGradient } = plan.training;
  const optimiser = optimiserOf(options);
  const trainable = select(model, model.specs, true);
  const views = Array.from({ length: pretextOf(plan).views }, (_, i) => `batch/view${i}`);
  const context = { ...contextOf(plan), batch };
  return {
    name: programName('pooled', plan, [plan.encoder, plan.pretext, plan.data, options, clipGradient]),
    inputs: {
      ...under('params', trainable),
      ...under('optimiser', optimiser.state(trainable)),
      ...Object.fromEntries(views.map((name) => [name, { shape: [batch, ...plan.data.shape], dtype: 'float32' }])),
      'batch/weights': { shape: [batch], dtype: 'float32' },
      'scalars/learningRate': { shape: [], dtype: 'float32' },
    },
    run: (nn, inputs) => {
      const data = { params: parametersOf(inputs), views: views.map((name) => normalise(nn, inputs[name]!, plan)) };
      const { loss, gradients } = valueAndGradients(plan, nn, inputs, () =>
        statisticsOf(plan).pooledLoss(nn, data, context, inputs['batch/weights']!),
      );
      const clipped = clipAsPlanned(nn, plan, gradients);
      const [params, state, rate] = [
        within('params', inputs),
        within('optimiser', inputs),
        inputs['scalars/learningRate']!,
      ];
      const next = optimiser.apply(nn, params, clipped, state, rate);
      return { ...under('params', next.params), ...under('optimiser', next.state), 'metrics/loss': loss };
    },
  };
}
