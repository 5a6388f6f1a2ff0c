/**
 * A federation of virtual participants in one process: the same coordinator and the same participant code as over sockets, on the
 * in-memory transport. For researchers who want many rounds or many participants, and for tests.
 */
import { labelsOf } from '../learning/data/labels.ts';
import { openSource } from '../learning/data/open.ts';
import { dirichletPartition, iidPartition, partitionMatrix } from '../learning/data/partition.ts';
import type { DataSource, SourceSpec } from '../learning/data/source.ts';
import type { EngineChoice } from '../learning/engine/engine.ts';
import { createPool } from '../learning/pool/pool.ts';
import { createRun } from '../learning/run-folder.ts';
import type { Plan } from '../protocol/plan.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import type { RunResult } from '../server/events.ts';
import { runFederation } from './federation.ts';
import type { SimulationIo } from './io.ts';
import { type RunSpent, spentIn } from './privacy-spent.ts';
import { type Partition, partitionName } from './result.ts';
import { roundWriter } from './round-writer.ts';

export interface SimulateOptions {
  /** Complete (`completePlan`). */
  readonly plan: Plan;
  /** All the data, which the partition shares out. */
  readonly data: SourceSpec;
  readonly participants: number;
  /** `dirichlet` needs data with groups. */
  readonly partition: Partition;
  readonly engine: EngineChoice;
  readonly workers?: number;
  /** Weights to start from, when the plan names some by their hash. */
  readonly initialModel?: NamedArrays | undefined;
  /** Run folder; absent: nothing is written. */
  readonly out?: string;
  readonly signal: AbortSignal;
}

export interface SimulationResult extends Omit<RunResult, 'model' | 'finished'> {
  readonly participants: number;
  readonly partition: string;
  readonly engine: string;
  readonly seed: number;
  readonly privacyMode: string;
  /** Under differential privacy. */
  readonly privacySpent?: RunSpent;
  /** Images per participant (rows) and group (columns). */
  readonly partitionMatrix: readonly (readonly number[])[];
}

/** A source without groups is shared out evenly. @throws TacitError data/unreadable if a Dirichlet partition has no groups to use */
function share(source: DataSource, { plan, participants, partition }: SimulateOptions): Int32Array[] {
  const labels = source.group || partition.kind === 'dirichlet' ? labelsOf(source) : new Int32Array(source.length);
  const common = { labels, participants, seed: plan.seed, minExamples: plan.data.minExamples };
  return partition.kind === 'iid' ? iidPartition(common) : dirichletPartition({ ...common, alpha: partition.alpha });
}

/** Indices into a source whose spec may itself be restricted to some. */
const within = (spec: SourceSpec, indices: Int32Array): SourceSpec => ({
  ...spec,
  indices: spec.indices ? indices.map((i) => spec.indices![i]!) : indices,
});

/** Runs all rounds of the plan. @throws TacitError; train/cancelled when `signal` aborts */
export async function simulate(options: SimulateOptions, io: SimulationIo): Promise<SimulationResult> {
  const { plan, data, participants, signal } = options;
  const source = await openSource(data, plan.data);
  const shards = share(source, options);
  const run = options.out === undefined ? undefined : await createRun(options.out, plan);
  const workers = options.workers === undefined ? {} : { workers: options.workers };
  const pool = await createPool({ engine: options.engine, ...workers });
  try {
    io.print(`engine ${pool.engine} (${pool.reason}), ${pool.size} workers`);
    const writer = roundWriter(run, io, plan);
    const sources = shards.map((indices) => within(data, indices));
    const federation = await runFederation({
      plan,
      transport: 'memory',
      sources,
      pool,
      initialModel: options.initialModel,
      signal,
      onEvent: writer.onEvent,
    });
    await writer.finish();
    const { model, finished: _, ...result } = federation.result;
    await run?.finalEncoder(model, { modelHash: result.modelHash });
    const outcome: SimulationResult = {
      ...result,
      participants,
      partition: partitionName(options.partition),
      engine: pool.engine,
      seed: plan.seed,
      privacyMode: plan.privacy.mode,
      ...spentIn(plan, result.history),
      partitionMatrix: source.group ? partitionMatrix(labelsOf(source), shards) : shards.map((s) => [s.length]),
    };
    await run?.result(outcome);
    return outcome;
  } finally {
    await pool.close();
  }
}
