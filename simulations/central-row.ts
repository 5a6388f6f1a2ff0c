/**
 * The row `central`: the same pretext task with all images in one place, with as many samples seen as the federated run. Where rounds
 * are steps (shared statistics, exact mode) it is a paired control: one machine trains on the very batches of the participants, so that
 * no luck of the draw is taken for a difference. Otherwise it draws its own.
 */
import type { SourceSpec } from '../learning/data/source.ts';
import type { ProbeCurve } from '../learning/evaluation/label-budget.ts';
import type { PooledInput } from '../learning/pool/jobs/pooled.ts';
import type { Plan } from '../protocol/plan.ts';
import type { RoundSummary } from '../server/events.ts';
import { participantIdentity, trainingSeed } from './federation.ts';
import type { Control } from './result.ts';
import { inOnePlace, probeRow, type RowContext, run, samplesSeen, start } from './rows.ts';

/** Batch of centralised training beside plans that average: the data are in one place, so there is no reason for small ones. */
const CENTRAL_BATCH = 256;

/** Its own batch: under shared statistics as large as everybody's together. */
function centralBatch({ strategy, training, rounds }: Plan, images: number): number {
  const wanted = strategy.name === 'shared-statistics' ? training.batch * rounds.cohort : CENTRAL_BATCH;
  return Math.max(training.batch, Math.min(wanted, images));
}

/** What the row trains on under this plan. */
export const controlOf = ({ strategy }: Plan): Control =>
  strategy.name === 'shared-statistics' && strategy.mode === 'exact' ? 'paired' : 'own-batches';

type Rounds = readonly Pick<RoundSummary, 'attempt'>[];

/**
 * A step for each round of `history`, on the images and views that participants with these sources drew in it. One that was lost
 * on the way counts here all the same: who that was, the history does not say.
 */
export async function pairedInput(plan: Plan, sources: readonly SourceSpec[], history: Rounds): Promise<PooledInput> {
  const shards = sources.map(async (source, k) => ({
    source,
    seed: trainingSeed(plan.seed, k),
    participant: (await participantIdentity(plan.seed, k)).id,
  }));
  return { plan, shards: await Promise.all(shards), attempts: history.map(({ attempt }) => attempt) };
}

/**
 * The paired control of a federated run over these shards, all that it needs at hand: its training is the longest job of all, and begins
 * with the call. Undefined if the plan's rounds are not steps.
 */
export async function preparePairedRow(
  context: RowContext,
  shards: readonly Int32Array[],
  history: Rounds,
): Promise<(() => Promise<ProbeCurve>) | undefined> {
  const { plan, experiment } = context;
  if (controlOf(plan) !== 'paired') return undefined;
  const sources = shards.map((indices) => ({ ...experiment.train, indices }));
  const input = { ...(await pairedInput(plan, sources, history)), ...start(context) };
  return async () => {
    const { model } = await run(context, 'central', 'pooled', input);
    return probeRow(context, 'central', model);
  };
}

/** The same at once. */
export const pairedRow = async (...given: Parameters<typeof preparePairedRow>): Promise<ProbeCurve | undefined> =>
  (await preparePairedRow(...given))?.();

/** Batches of its own, drawn from all images. */
export async function ownBatchesRow(context: RowContext): Promise<ProbeCurve> {
  const { plan, experiment } = context;
  const batch = centralBatch(plan, experiment.trainLabels.length);
  const central = inOnePlace(plan, batch);
  const steps = Math.ceil(samplesSeen(plan) / batch);
  const input = { plan: central, source: experiment.train, steps, seed: plan.seed, ...start(context) };
  const { model } = await run(context, 'central', 'central', input);
  return probeRow(context, 'central', model);
}
