/** A participant's local round: from the global model and private images to the delta that it reports. */
import { TacitError } from '../../../protocol/errors.ts';
import { type NamedArrays, type NamedSpecs, sizeOf } from '../../../protocol/tensors.ts';
import { modelOf } from '../../model.ts';
import { within } from '../../names.ts';
import { initialState, optimiserIn, parametersIn, scalarsAt, stateNames, trainProgram } from '../../train-step.ts';
import { allFinite, pick } from '../arrays.ts';
import type { JobContext } from '../job.ts';
import { endOfRound, keepsState, type LocalState, startOfRound, usable } from '../local-state.ts';
import { meanOf, requireEnough, runSteps, trainingStreams } from '../self-supervised.ts';
import { driftAfter } from '../write-back.ts';
import { type SharedRound, sharedTrain } from './shared-train.ts';
import type { StatisticsInput } from './statistics.ts';

export interface TrainInput extends StatisticsInput {
  /** What this job returned in an earlier round. */
  readonly local?: LocalState | undefined;
  /** Tensors that the round fixes, by `<name>` as the pretext task declares them; `global/<group>/…` need not be given. */
  readonly frozen?: NamedArrays | undefined;
  /** Under strategy `shared-statistics`: what the exchange before gave. */
  readonly shared?: SharedRound | undefined;
}

export interface TrainOutput {
  /** After − global, over the aggregated parameters in manifest order. */
  readonly delta: Float32Array;
  /** Examples in the source. */
  readonly examples: number;
  /** Mean over the steps. */
  readonly loss: number;
  readonly steps: number;
  /** To be given back in the next round; absent when the plan keeps nothing. */
  readonly local?: LocalState;
}

/** after − before, flattened in the order of `specs`. @throws TacitError report/not-finite */
export function deltaOf(after: NamedArrays, before: NamedArrays, specs: NamedSpecs): Float32Array {
  const delta = new Float32Array(Object.values(specs).reduce((n, { shape }) => n + sizeOf(shape), 0));
  let at = 0;
  for (const name of Object.keys(specs)) {
    const [a, b] = [after[name]!.data, before[name]!.data];
    for (let i = 0; i < a.length; i++) delta[at++] = a[i]! - b[i]!;
  }
  if (!allFinite([delta])) throw new TacitError('report/not-finite', 'local training gave NaN or an infinity');
  return delta;
}

/** `frozen/…` inputs of the step: copies of the global model, and what the round brings. */
function frozenInputs(specs: NamedSpecs, model: NamedArrays, given: NamedArrays = {}): NamedArrays {
  const wanted = within('frozen', specs);
  const known = { ...Object.fromEntries(Object.entries(model).map(([n, a]) => [`global/${n}`, a])), ...given };
  const found = pick(known, wanted, 'the round');
  return Object.fromEntries(Object.entries(found).map(([name, array]) => [`frozen/${name}`, array]));
}

/**
 * Exactly `plan.training.steps` steps. The same input gives the same bits on one engine.
 * @throws TacitError data/too-few-examples, weights/mismatch, report/not-finite, and those of the data source
 */
export function train(input: TrainInput, context: JobContext): Promise<TrainOutput> {
  const { shared } = input;
  return shared ? sharedTrain({ ...input, shared }, context) : trainAlone(input, context);
}

/** With the plan's optimiser, knowing nothing of the others. */
async function trainAlone(input: TrainInput, context: JobContext): Promise<TrainOutput> {
  const { plan, round } = input;
  const model = modelOf(plan);
  const global = pick(input.model, model.aggregated, 'the model');
  const source = await context.openSource(input.source, plan.data);
  requireEnough(source, plan);

  const local = usable(input.local, plan, round);
  const before = startOfRound(model, global, () => model.init(plan.seed), local, round);
  const optimiser = plan.training.optimiserState === 'keep' ? optimiserIn(local?.arrays ?? {}) : {};
  const program = trainProgram(plan);
  const step = await context.load(program);
  await step.set({
    ...initialState(plan, before, Object.keys(optimiser).length > 0 ? optimiser : undefined),
    ...frozenInputs(program.inputs, global, input.frozen),
  });
  const scalars = scalarsAt(plan, round);
  const steps = plan.training.steps;
  const losses = await runSteps(step, {
    plan,
    source,
    streams: trainingStreams(input.seed, input.participant, round, input.attempt),
    count: steps,
    scalars: () => scalars,
    onStep: (done, loss) => context.progress({ done, total: steps, loss }),
  });

  const state = await step.get(stateNames(program));
  const parameters = parametersIn(state);
  const output = {
    delta: deltaOf(parameters, global, model.aggregated),
    examples: source.length,
    loss: meanOf(losses),
    steps,
  };
  if (!keepsState(plan, model)) return output;
  const drift = driftAfter(before, parameters, local?.drift);
  return { ...output, local: endOfRound(plan, model, round, { parameters, optimiser: optimiserIn(state), drift }) };
}
