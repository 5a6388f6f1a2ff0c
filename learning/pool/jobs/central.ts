/**
 * Self-supervised training of one model on one source: the baselines "centralised" (all images pooled) and "local only" (one
 * participant's). The optimiser runs through; its schedule is the plan's, stretched over the steps.
 */
import { TacitError } from '../../../protocol/errors.ts';
import type { Plan } from '../../../protocol/plan.ts';
import type { NamedArrays } from '../../../protocol/tensors.ts';
import type { SourceSpec } from '../../data/source.ts';
import { modelOf } from '../../model.ts';
import { within } from '../../names.ts';
import { initialState, parametersIn, scalarsAt, stateNames, trainProgram } from '../../train-step.ts';
import { allFinite, pick } from '../arrays.ts';
import type { JobContext } from '../job.ts';
import { startOfRound } from '../local-state.ts';
import { meanOf, requireEnough, runSteps, trainingStreams } from '../self-supervised.ts';

export interface CentralInput {
  readonly plan: Plan;
  readonly source: SourceSpec;
  readonly steps: number;
  readonly seed: string | number;
  /** Tells trainings of one seed apart, such as participants that train alone. */
  readonly name?: string;
  /** Aggregated parameters to start from; default: the plan's initial ones. */
  readonly model?: NamedArrays;
}

export interface CentralOutput {
  /** All parameters, by `<group>/<name>`. */
  readonly model: NamedArrays;
  /** Mean loss over each of `plan.rounds.count` equal parts of the training (fewer when there are fewer steps). */
  readonly losses: readonly number[];
  readonly steps: number;
  readonly examples: number;
}

/** Means over `parts` runs of as equal length as can be. */
function segmentMeans(values: Float64Array, parts: number): number[] {
  const count = Math.min(parts, values.length);
  const edge = (k: number): number => Math.round((k * values.length) / count);
  return Array.from({ length: count }, (_, k) => meanOf(values.subarray(edge(k), edge(k + 1))));
}

/** @throws TacitError data/too-few-examples, weights/mismatch, report/not-finite; plan/refused if the task needs a round's tensors */
export async function central(input: CentralInput, context: JobContext): Promise<CentralOutput> {
  const { plan, steps } = input;
  const model = modelOf(plan);
  const source = await context.openSource(input.source, plan.data);
  requireEnough(source, plan);
  const program = trainProgram(plan);
  if (Object.keys(within('frozen', program.inputs)).length > 0) {
    throw new TacitError('plan/refused', `the task ${plan.pretext.name} trains in rounds only`);
  }
  const initial = model.init(plan.seed);
  const global = pick(input.model ?? initial, model.aggregated, 'the model');
  const step = await context.load(program);
  await step.set(
    initialState(
      plan,
      startOfRound(model, global, () => initial, undefined, 0),
    ),
  );
  const rounds = plan.rounds.count;
  const losses = await runSteps(step, {
    plan,
    source,
    streams: trainingStreams(input.seed, input.name ?? 'central'),
    count: steps,
    scalars: (i) => scalarsAt(plan, Math.floor((i * rounds) / steps)),
    onStep: (done, loss) => context.progress({ done, total: steps, loss }),
  });
  const trained = parametersIn(await step.get(stateNames(program)));
  if (!allFinite(Object.values(trained).map(({ data }) => data))) {
    throw new TacitError('report/not-finite', 'training gave NaN or an infinity');
  }
  return { model: trained, losses: segmentMeans(losses, rounds), steps, examples: source.length };
}
