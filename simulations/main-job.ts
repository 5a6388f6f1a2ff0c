/**
 * The main job: ten participants with private shares of real images learn an encoder without labels, over real WebSockets; then
 * the encoder is judged with a few labels against everything that it must beat.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dirichletPartition, iidPartition, partitionMatrix } from '../learning/data/partition.ts';
import type { BundledName } from '../learning/data/source.ts';
import type { EngineChoice } from '../learning/engine/engine.ts';
import type { ProbeCurve } from '../learning/evaluation/label-budget.ts';
import { modelOf } from '../learning/model.ts';
import type { FineTuneCurve } from '../learning/pool/fine-tune-curve.ts';
import type { TrainingPool } from '../learning/pool/scheduler.ts';
import { createRun, RUN_FILES, type RunWriter } from '../learning/run-folder.ts';
import type { Plan } from '../protocol/plan.ts';
import { decodeSafetensors } from '../protocol/safetensors.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import { trustStatement } from '../protocol/trust.ts';
import type { RunResult } from '../server/events.ts';
import { averagedModel } from './averaged-row.ts';
import { controlOf, ownBatchesRow, preparePairedRow } from './central-row.ts';
import { type Enrolment, enrolAll } from './enrolment.ts';
import { type Experiment, openExperiment } from './experiment.ts';
import { type FederationRun, participantIdentity, runFederation } from './federation.ts';
import type { SimulationIo } from './io.ts';
import { spentIn } from './privacy-spent.ts';
import { renderReport } from './report/report.ts';
import { differencesOf, type MainJobResult, type Partition, partitionName } from './result.ts';
import { roundWriter } from './round-writer.ts';
import { embedSplits, localRow, probeRow, type RowContext } from './rows.ts';
import { openPools } from './spare-time.ts';
import { fineTunedRow, scratchRow } from './supervised-rows.ts';

export interface MainJobOptions {
  /** Complete (`completePlan`), with what `--quick` and `--set` change laid over it. */
  readonly plan: Plan;
  readonly dataset: BundledName;
  readonly partition: Partition;
  readonly participants: number;
  readonly quick: boolean;
  readonly engine: EngineChoice;
  readonly workers?: number;
  /** Weights that every pre-training starts from, when the plan names some by their hash. */
  readonly initialModel?: NamedArrays | undefined;
  /** The run folder. */
  readonly out: string;
  readonly signal: AbortSignal;
}

/** Splits the training images among the participants. Labels shape the shares, as a simulation of who holds what. */
export function shardsOf(
  experiment: Experiment,
  { plan, partition, participants }: Pick<MainJobOptions, 'plan' | 'partition' | 'participants'>,
): Int32Array[] {
  const common = { labels: experiment.trainLabels, participants, seed: plan.seed, minExamples: plan.data.minExamples };
  return partition.kind === 'iid' ? iidPartition(common) : dirichletPartition({ ...common, alpha: partition.alpha });
}

/** A progress line that names every row under way. */
function rowProgress(io: SimulationIo): RowContext['onProgress'] {
  const fractions = new Map<string, number>();
  return (row, fraction) => {
    if (fraction >= 1) fractions.delete(row);
    else fractions.set(row, fraction);
    const parts = [...fractions].map(([name, f]) => `${name} ${Math.floor(100 * f)} %`);
    if (parts.length > 0) io.progress(`evaluating: ${parts.join(' · ')}`);
  };
}

type Rows = Pick<MainJobResult, 'rows' | 'differences' | 'alone' | 'chosen' | 'knn' | 'rankMe' | 'picture'>;

/** What the features of the test images are worth with every label known, and how they lie. */
async function pictureOf(context: RowContext, model: NamedArrays): Promise<Pick<Rows, 'knn' | 'rankMe' | 'picture'>> {
  const { plan, experiment, pool, signal } = context;
  const embedded = await embedSplits(context, 'quality', model);
  const probe = { penalties: plan.evaluation.probePenalties, validation: experiment.validation };
  const input = { ...embedded, classes: experiment.classes.length, ...plan.evaluation.knn, probe };
  const [{ knn, rankMe, linear }, map] = await Promise.all([
    pool.run('evaluate', input, { signal }),
    pool.run('embedding-map', { features: embedded.test.features, seed: plan.seed }, { signal }),
  ]);
  const { confusion, perClass, accuracy } = linear!;
  const rounded = Array.from(map, (x) => Math.round(1000 * x) / 1000);
  const picture = { map: rounded, labels: Array.from(experiment.testLabels), confusion, perClass, accuracy };
  return { knn, rankMe, picture };
}

const listed = (labels: readonly number[], values: readonly (string | number)[]): string =>
  labels.map((k, i) => `${values[i]} at ${k}`).join(', ');

/** What has begun while the rounds ran. */
interface Early {
  readonly scratch: Promise<FineTuneCurve>;
  /** From now on everything may take all of the machine. */
  over(): void;
}

async function judge(
  context: RowContext,
  shards: readonly Int32Array[],
  federation: RunResult,
  early: Early,
): Promise<Rows> {
  const { plan, experiment } = context;
  const model = decodeSafetensors(federation.model).arrays;
  // alone: its rounds have deadlines, and would wait in the pool's queue behind everything else
  const averaged = await averagedModel(context, shards);
  early.over();
  const federatedWithFineTuning = async (): Promise<[ProbeCurve, FineTuneCurve]> => {
    const probed = await probeRow(context, 'federated', model);
    return [probed, await fineTunedRow(context, model, probed.penalties)];
  };
  const pairedRow = await preparePairedRow(context, shards, federation.history);
  // what takes longest comes first, so that at the end no worker waits long for the other
  const [central, local, scratch, [federated, federatedFinetuned], fedavg, pixels, random, quality] = await Promise.all(
    [
      pairedRow?.() ?? ownBatchesRow(context),
      localRow(context, shards),
      early.scratch,
      federatedWithFineTuning(),
      averaged && probeRow(context, 'fedavg', averaged),
      probeRow(context, 'pixels'),
      probeRow(context, 'random', modelOf(plan).init(plan.seed)),
      pictureOf(context, model),
    ],
  );
  const { labelsPerClass } = experiment;
  const chosen = {
    'from scratch': listed(
      labelsPerClass,
      scratch.chosen.map(({ steps, setting }) => `${steps} steps (rate ${setting.optimiser.learningRate})`),
    ),
    'penalty of the federated probe': listed(labelsPerClass, federated.penalties),
    'penalty of the centralised probe': listed(labelsPerClass, central.penalties),
    'penalty on pixels': listed(labelsPerClass, pixels.penalties),
  };
  const rows = { pixels, random, scratch, local, central, fedavg: fedavg ?? federated, federated, federatedFinetuned };
  return { rows: strip(rows), differences: differencesOf(rows), alone: local.alone, chosen, ...quality };
}

/** The curves alone, without what was chosen for them. */
function strip(rows: MainJobResult['rows']): MainJobResult['rows'] {
  const entries = Object.entries(rows).map(([name, { mean, sd, draws }]) => [name, { mean, sd, draws }]);
  return Object.fromEntries(entries) as MainJobResult['rows'];
}

async function federate(
  options: MainJobOptions,
  pool: TrainingPool,
  sources: readonly Int32Array[],
  experiment: Experiment,
  run: RunWriter,
  enrolment: Enrolment | undefined,
  io: SimulationIo,
): Promise<FederationRun> {
  const writer = roundWriter(run, io, options.plan);
  const federation = await runFederation({
    plan: options.plan,
    transport: 'sockets',
    sources: sources.map((indices) => ({ ...experiment.train, indices })),
    pool,
    enrolment,
    initialModel: options.initialModel,
    signal: options.signal,
    onEvent: writer.onEvent,
  });
  await writer.finish();
  return federation;
}

/** Under masks an operator certifies the participants, unless the plan speaks of certificates itself. */
async function enrolFor({ plan, participants }: MainJobOptions): Promise<{ plan: Plan; enrolment?: Enrolment }> {
  if (plan.privacy.mode === 'sealed' || plan.admission.certificates === 'required') return { plan };
  const identities = Array.from({ length: participants }, (_, k) => participantIdentity(plan.seed, k));
  return enrolAll(plan, await Promise.all(identities));
}

/** Runs everything and writes the run folder. @throws TacitError; train/cancelled when `signal` aborts */
export async function runMainJob(given: MainJobOptions, io: SimulationIo): Promise<MainJobResult> {
  const started = performance.now();
  const { plan, enrolment } = await enrolFor(given);
  const options: MainJobOptions = { ...given, plan };
  const { dataset, quick, signal } = options;
  const run = await createRun(options.out, plan);
  const experiment = await openExperiment(plan, dataset, plan.seed);
  const shards = shardsOf(experiment, options);
  const { pool, spare, close } = await openPools({
    engine: options.engine,
    ...(options.workers === undefined ? {} : { workers: options.workers }),
  });
  try {
    io.print(`engine ${pool.engine} (${pool.reason}), ${pool.size} workers`);
    const showRow = rowProgress(io);
    let rounds = true; // which have a line of their own
    const onProgress: RowContext['onProgress'] = (row, fraction) => rounds || showRow(row, fraction);
    const context: RowContext = { plan, experiment, pool, initialModel: options.initialModel, signal, onProgress };
    const scratch = scratchRow({ ...context, pool: spare.pool }, quick);
    scratch.catch(() => {}); // awaited with the other rows
    const { result, fingerprint } = await federate(options, pool, shards, experiment, run, enrolment, io);
    await run.finalEncoder(result.model, { modelHash: result.modelHash });
    rounds = false;
    const judged = await judge(context, shards, result, { scratch, over: spare.over });
    const outcome: MainJobResult = {
      dataset,
      partition: partitionName(options.partition),
      quick,
      participants: options.participants,
      rounds: result.rounds,
      seconds: (performance.now() - started) / 1000,
      federatedSeconds: result.seconds,
      bytesUp: result.bytesUp,
      bytesDown: result.bytesDown,
      engine: pool.engine,
      strategy: plan.strategy.name,
      control: controlOf(plan),
      privacyMode: plan.privacy.mode,
      privacyStatement: trustStatement(plan),
      ...spentIn(plan, result.history),
      modelHash: result.modelHash,
      fingerprint,
      seed: plan.seed,
      testImages: experiment.testLabels.length,
      labelsPerClass: experiment.labelsPerClass,
      history: result.history,
      partitionMatrix: partitionMatrix(experiment.trainLabels, shards).map((row) => Array.from(row)),
      classes: experiment.classes,
      ...judged,
    };
    await run.result(outcome);
    await run.report(renderReport(outcome, await readFile(join(run.dir, RUN_FILES.plan), 'utf8')));
    return outcome;
  } finally {
    await close();
  }
}
