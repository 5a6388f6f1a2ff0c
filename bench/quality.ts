/**
 * The main job's table over partition seeds and degrees of heterogeneity: three seeds × (IID, Dirichlet 0.5, Dirichlet 0.1) × the
 * plan's label draws. Rows that do not depend on the partition are computed once per seed; the label draws of a seed are the same in
 * every row and partition. Differences of `federated` to other rows come with their standard errors, for each seed and (in the notes) over all of
 * them. The federation runs on the in-memory transport and with sealed reports, which give the same model as sockets
 * and masks do.
 */
import { parseArgs } from 'node:util';
import { parseOverride } from '../cli/overrides.ts';
import { bundledPlan, loadPlan } from '../cli/plan-file.ts';
import type { BundledName } from '../learning/data/source.ts';
import { type LabelCurve, labelCurve, type ScoredCurve } from '../learning/evaluation/label-budget.ts';
import type { PairedDifference } from '../learning/evaluation/paired-difference.ts';
import { modelOf } from '../learning/model.ts';
import { createPool } from '../learning/pool/pool.ts';
import type { TrainingPool } from '../learning/pool/scheduler.ts';
import type { Plan } from '../protocol/plan.ts';
import { decodeSafetensors } from '../protocol/safetensors.ts';
import { averagedModel } from '../simulations/averaged-row.ts';
import { controlOf, ownBatchesRow, pairedRow } from '../simulations/central-row.ts';
import { openExperiment } from '../simulations/experiment.ts';
import { runFederation } from '../simulations/federation.ts';
import { shardsOf } from '../simulations/main-job.ts';
import {
  type Compared,
  type Differences,
  differencesOf,
  forCompared,
  type Partition,
  partitionName,
  type RowName,
} from '../simulations/result.ts';
import { localRow, probeRow, type RowContext } from '../simulations/rows.ts';
import { fineTunedRow, scratchRow } from '../simulations/supervised-rows.ts';
import type { Bench, BenchIo } from './report.ts';

const PARTITIONS: readonly Partition[] = [
  { kind: 'iid' },
  { kind: 'dirichlet', alpha: 0.5 },
  { kind: 'dirichlet', alpha: 0.1 },
];

interface Result {
  readonly [key: string]: unknown;
  readonly partition: string;
  readonly seed: number;
  readonly row: RowName;
  readonly labelsPerClass: readonly number[];
  readonly draws: LabelCurve['draws'];
  /** Of the row `federated`. */
  readonly differences?: Differences;
}

/** A line for each quarter of a row. */
function quarters(io: BenchIo, where: string): RowContext['onProgress'] {
  const said = new Map<string, number>();
  return (row, fraction) => {
    const quarter = Math.floor(4 * fraction);
    if (quarter <= (said.get(row) ?? 0)) return;
    said.set(row, quarter);
    io.progress(`${where}: ${row} ${25 * quarter} %`);
  };
}

const contextFor = (
  plan: Plan,
  experiment: RowContext['experiment'],
  pool: TrainingPool,
  io: BenchIo,
  where: string,
): RowContext => ({ plan, experiment, pool, signal: io.signal, onProgress: quarters(io, where) });

type Scored = Compared | 'federated';
type Rows = Record<Exclude<RowName, Scored>, LabelCurve> & Record<Scored, ScoredCurve>;

/** Rows that do not know of participants. */
async function commonRows(context: RowContext): Promise<Partial<Rows>> {
  const [scratch, central, pixels, random] = await Promise.all([
    scratchRow(context, false),
    controlOf(context.plan) === 'paired' ? undefined : ownBatchesRow(context),
    probeRow(context, 'pixels'),
    probeRow(context, 'random', modelOf(context.plan).init(context.plan.seed)),
  ]);
  return { pixels, random, scratch, ...(central ? { central } : {}) };
}

async function partitionRows(context: RowContext, partition: Partition): Promise<Partial<Rows>> {
  const { plan, experiment, pool, signal, onProgress } = context;
  const shards = shardsOf(experiment, { plan, partition, participants: plan.rounds.cohort });
  const sources = shards.map((indices) => ({ ...experiment.train, indices }));
  const { result } = await runFederation({
    plan,
    transport: 'memory',
    sources,
    pool,
    signal,
    onEvent: (event) => {
      if (event.type === 'committed') onProgress('rounds', (event.summary.round + 1) / plan.rounds.count);
    },
  });
  const model = decodeSafetensors(result.model).arrays;
  const averaged = await averagedModel(context, shards);
  const [central, local, averagedProbe, federated] = await Promise.all([
    pairedRow(context, shards, result.history),
    localRow(context, shards),
    averaged && probeRow(context, 'fedavg', averaged),
    probeRow(context, 'federated', model),
  ]);
  const federatedFinetuned = await fineTunedRow(context, model, federated.penalties);
  const fedavg = averagedProbe ?? federated;
  return { ...(central ? { central } : {}), local, fedavg, federated, federatedFinetuned };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** How many points federated pre-training is ahead of another row at each label count. */
function lead(differences: Differences, other: Compared): string {
  const points = differences[other].map(({ mean }) => (100 * mean).toFixed(1));
  return `federated − ${other} ${points.join(' / ')}`;
}

interface OverSeeds extends PairedDifference {
  /** Standard error over the seeds themselves, the only one that counts the luck of a training; null with one seed. */
  readonly overSeeds: number | null;
}

/** Seeds are independent of each other: the mean of their differences, and its standard errors. */
function overSeeds(seeds: readonly PairedDifference[]): OverSeeds {
  const error = (key: 'overDraws' | 'overDrawsAndImages'): number =>
    Math.sqrt(seeds.reduce((sum, seed) => sum + seed[key] ** 2, 0)) / seeds.length;
  const { mean, sd } = labelCurve([seeds.map((seed) => seed.mean)]);
  return {
    mean: mean[0]!,
    overDraws: error('overDraws'),
    overDrawsAndImages: error('overDrawsAndImages'),
    overSeeds: seeds.length < 2 ? null : sd[0]! / Math.sqrt(seeds.length),
  };
}

/** Differences over all seeds, per partition. */
function pooled(
  results: readonly Result[],
): { partition: string; differences: Readonly<Record<Compared, readonly OverSeeds[]>> }[] {
  return PARTITIONS.map(partitionName).map((partition) => {
    const own = results.flatMap((r) => (r.partition === partition && r.differences ? [r.differences] : []));
    const differences = forCompared((row) => own[0]![row].map((_, i) => overSeeds(own.map((seed) => seed[row][i]!))));
    return { partition, differences };
  });
}

/** Mean accuracy of one row over all its seeds and draws at the smallest label count. */
function accuracyAt(results: readonly Result[], partition: string, row: RowName): number {
  const own = results.filter((r) => r.partition === partition && r.row === row);
  return mean(own.flatMap((r) => r.draws[0]!));
}

/** `--seeds N` (default 3), `--dataset NAME`. */
export const run: Bench = async (args, io) => {
  const { values } = parseArgs({
    args: [...args],
    options: { seeds: { type: 'string', default: '3' }, dataset: { type: 'string', default: 'digits' } },
  });
  const dataset = values.dataset as BundledName;
  const pool = await createPool();
  const results: Result[] = [];
  try {
    for (let seed = 0; seed < Number(values.seeds); seed++) {
      const plan = await loadPlan(bundledPlan(dataset), { seed, overrides: [parseOverride('privacy.mode=sealed')] });
      const experiment = await openExperiment(plan, dataset, seed);
      const common = await commonRows(contextFor(plan, experiment, pool, io, `seed ${seed}`));
      for (const partition of PARTITIONS) {
        const context = contextFor(plan, experiment, pool, io, `seed ${seed}, ${partitionName(partition)}`);
        const rows = { ...common, ...(await partitionRows(context, partition)) } as Rows;
        const differences = differencesOf(rows);
        const name = partitionName(partition);
        for (const [row, { draws }] of Object.entries(rows) as [RowName, LabelCurve][]) {
          const { labelsPerClass } = experiment;
          const more = row === 'federated' ? { differences } : {};
          results.push({ partition: name, seed, row, labelsPerClass, draws, ...more });
        }
        io.progress(`seed ${seed}, ${name}: ${lead(differences, 'scratch')}, ${lead(differences, 'central')}`);
      }
    }
  } finally {
    await pool.close();
  }
  const ratios = PARTITIONS.map(partitionName).map((name) => {
    const ratio = accuracyAt(results, name, 'federated') / accuracyAt(results, name, 'scratch');
    return [`federated/scratch at ${name}, fewest labels`, Math.round(ratio * 1000) / 1000] as const;
  });
  const notes = { engine: pool.engine, overSeeds: pooled(results) };
  return { results, ratios: Object.fromEntries(ratios), notes };
};
