/**
 * A participant's part of the second exchange of strategy `shared-statistics`, given everybody's mean statistics.
 *   exact  minus the gradient on the batch that was measured
 *   local  the way from the global model after `steps` preconditioned steps
 */
import { TacitError } from '../../../protocol/errors.ts';
import { flatten, unflatten } from '../../../protocol/flatten.ts';
import { type NamedArrays, scalar } from '../../../protocol/tensors.ts';
import { weightOf } from '../../../protocol/weighting.ts';
import type { DataSource } from '../../data/source.ts';
import { contextOf } from '../../methods.ts';
import { type Model, modelOf } from '../../model.ts';
import { under, within } from '../../names.ts';
import { localRateAt } from '../../schedule.ts';
import { sharedGradientProgram, sharedStepProgram, statisticsOf } from '../../shared-step.ts';
import { scalarsAt, select, stateNames } from '../../train-step.ts';
import { allFinite } from '../arrays.ts';
import type { JobContext } from '../job.ts';
import { meanOf, requireEnough, runSteps, trainingStreams } from '../self-supervised.ts';
import { isLocal, parameterInputs, sharedBatch } from './statistics.ts';
import { deltaOf, type TrainInput, type TrainOutput } from './train.ts';

/** What the round says of everybody, and what this participant said of itself. */
export interface SharedRound {
  /** Mean statistics of everybody, packed. */
  readonly statistics: NamedArrays[string];
  /** Sum of the weights of everybody. */
  readonly weight: NamedArrays[string];
  /** `local`: the factor of each coordinate, in manifest order. */
  readonly preconditioner?: NamedArrays[string];
  /** This participant's own statistics, packed. */
  readonly own: Float32Array;
}

type SharedInput = TrainInput & { readonly shared: SharedRound };

/** `shared/…` and `scalars/share`. */
function sharedInputs(input: SharedInput, source: DataSource): NamedArrays {
  const { plan, shared } = input;
  const statistics = statisticsOf(plan);
  const context = contextOf(plan);
  const { shape, dtype } = statistics.spec(context);
  const mean = (packed: ArrayLike<number>) => ({ shape, dtype, data: statistics.unpack(packed, context) });
  const total = shared.weight.data[0]!;
  const share = isLocal(plan) ? Math.min(1, weightOf(plan, source.length) / total) : 0;
  return {
    'shared/everybody': mean(shared.statistics.data),
    'shared/own': mean(shared.own),
    'scalars/share': scalar(share),
  };
}

/** −Σgₖ of one batch, drawn as it was measured. */
async function exactStep(input: SharedInput, source: DataSource, model: Model, context: JobContext) {
  const { plan, round } = input;
  const program = await context.load(sharedGradientProgram(plan));
  await program.set(parameterInputs(model, input.model));
  const { 'scalars/learningRate': _, ...scalars } = scalarsAt(plan, round);
  const outputs = await program.run({
    ...(await sharedBatch(plan, source, input)),
    ...scalars,
    ...sharedInputs(input, source),
  });
  const delta = flatten(within('grads', outputs), model.aggregated);
  for (let i = 0; i < delta.length; i++) delta[i] = -delta[i]!;
  return { delta, loss: outputs['metrics/loss']!.data[0]! };
}

async function localSteps(input: SharedInput, source: DataSource, model: Model, context: JobContext) {
  const { plan, round, shared } = input;
  const program = sharedStepProgram(plan);
  const executable = await context.load(program);
  const factors = unflatten(shared.preconditioner!.data as Float32Array, model.aggregated);
  const start = parameterInputs(model, input.model);
  const { 'scalars/share': share, ...means } = sharedInputs(input, source);
  await executable.set({ ...start, ...means, ...under('preconditioner', select(model, factors, true)) });
  const scalars = {
    ...scalarsAt(plan, round),
    'scalars/learningRate': scalar(localRateAt(plan, round)),
    'scalars/share': share!,
  };
  const count = plan.training.steps;
  const losses = await runSteps(executable, {
    plan,
    source,
    streams: trainingStreams(input.seed, input.participant, round, input.attempt),
    count,
    scalars: () => scalars,
    onStep: (done, loss) => context.progress({ done, total: count, loss }),
  });
  const after = within('params', await executable.get(stateNames(program)));
  return { delta: deltaOf(after, within('params', start), model.aggregated), loss: meanOf(losses) };
}

/** @throws TacitError data/too-few-examples, weights/mismatch, report/not-finite, and those of the data source */
export async function sharedTrain(input: SharedInput, context: JobContext): Promise<TrainOutput> {
  const { plan } = input;
  const source = await context.openSource(input.source, plan.data);
  requireEnough(source, plan);
  const model = modelOf(plan);
  const { delta, loss } = await (isLocal(plan) ? localSteps : exactStep)(input, source, model, context);
  if (!Number.isFinite(loss) || !allFinite([delta])) {
    throw new TacitError('report/not-finite', `local training gave NaN or an infinity; the loss is ${loss}`);
  }
  const { steps } = plan.training;
  context.progress({ done: steps, total: steps, loss });
  return { delta, examples: source.length, loss, steps };
}
