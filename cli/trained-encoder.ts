/** What evaluate, export, embed and finetune start from: the encoder of a run and a training pool to run it on. */
import { splitValidation } from '../learning/data/labels.ts';
import type { SourceSpec } from '../learning/data/source.ts';
import type { EngineChoice } from '../learning/engine/engine.ts';
import type { EmbedOutput } from '../learning/pool/jobs/embed.ts';
import type { EvaluateOutput } from '../learning/pool/jobs/evaluate.ts';
import { createPool } from '../learning/pool/pool.ts';
import type { TrainingPool } from '../learning/pool/scheduler.ts';
import { type OpenRun, openRun } from '../learning/run-folder.ts';
import { TacitError } from '../protocol/errors.ts';
import type { Context } from './context.ts';
import { dataArgument, testSplitOf } from './data-argument.ts';
import { closePoolsBeforeLeaving } from './leave.ts';
import { loadPlan } from './plan-file.ts';

export interface TrainedEncoder {
  readonly run: OpenRun;
  readonly pool: TrainingPool;
}

/** Opens a run folder or a .safetensors file, with a pool of one worker. */
export async function openTrainedEncoder(
  context: Context,
  path: string,
  options: { readonly plan?: string; readonly engine: EngineChoice },
): Promise<TrainedEncoder> {
  const run = await openRun(path, options.plan === undefined ? undefined : await loadPlan(options.plan));
  closePoolsBeforeLeaving();
  const pool = await createPool({ engine: options.engine, workers: 1 });
  context.progress.log(`engine ${pool.engine} (${pool.reason})`);
  return { run, pool };
}

/** Features of every example with its label, and the names of the classes. */
export interface LabelledTable {
  readonly features: { readonly rows: number; readonly columns: number; readonly data: Float32Array };
  readonly labels: Int32Array;
  readonly classes: readonly string[];
}

function labelled(table: EmbedOutput, where: string): LabelledTable {
  const { labels, classes, ...features } = table;
  if (labels && classes) return { features, labels, classes };
  throw new TacitError('data/unreadable', `${where} has no labels, and this needs them.`, {
    where,
    hint: 'Put the images of each class into a subfolder of its own, or name the label column of a CSV file with --label-column.',
  });
}

/** Labels of `table` as classes of `classes`, by their names. */
function renumbered(table: LabelledTable, classes: readonly string[], where: string): LabelledTable {
  const numbers = table.classes.map((name) => classes.indexOf(name));
  const strange = table.classes.find((_, i) => numbers[i] === -1 && table.labels.includes(i));
  if (strange === undefined) return { ...table, classes, labels: table.labels.map((label) => numbers[label]!) };
  throw new TacitError('data/unreadable', `${where} has the class "${strange}", which --data has not.`, { where });
}

/** Where labelled examples come from: `--data`, and `--test` or what stands in for it. */
export interface LabelledOptions {
  readonly data: string;
  readonly test?: string;
  readonly labelColumn?: string;
}

export interface LabelledSources {
  readonly train: SourceSpec;
  /** Undefined: a part of `train` is set aside. */
  readonly test: SourceSpec | undefined;
}

/** The sources that were named. @throws TacitError data/not-found, data/unreadable */
export async function labelledSources({ data, test, labelColumn }: LabelledOptions): Promise<LabelledSources> {
  const train = await dataArgument(data, labelColumn);
  return { train, test: test === undefined ? testSplitOf(train) : await dataArgument(test, labelColumn) };
}

/** A fifth of each class, which nothing is trained on. */
export const setAside = (labels: Int32Array, seed: number): { train: Int32Array; validation: Int32Array } =>
  splitValidation({ labels, fraction: 0.2, seed });

const rowsOf = (table: LabelledTable, rows: Int32Array): LabelledTable => {
  const { columns, data } = table.features;
  const chosen = new Float32Array(rows.length * columns);
  rows.forEach((row, i) => {
    chosen.set(data.subarray(row * columns, (row + 1) * columns), i * columns);
  });
  return {
    ...table,
    features: { rows: rows.length, columns, data: chosen },
    labels: rows.map((row) => table.labels[row]!),
  };
};

/** Labelled features to learn from and to score on, and the images of the latter. */
export async function embedLabelled(
  context: Context,
  { run, pool }: TrainedEncoder,
  options: LabelledOptions,
  seed: number,
): Promise<{ readonly train: LabelledTable; readonly test: LabelledTable; readonly testSource: SourceSpec }> {
  const sources = await labelledSources(options);
  const embed = async (source: SourceSpec, name: string): Promise<LabelledTable> => {
    const onProgress = ({ done, total }: { done: number; total: number }): void =>
      context.progress.live(`embedding ${name}: ${done} of ${total}`);
    const input = { plan: run.plan, model: run.model, source };
    return labelled(await pool.run('embed', input, { signal: context.signal, onProgress }), name);
  };
  const train = await embed(sources.train, options.data);
  if (sources.test) {
    const name = options.test ?? `${options.data} (test)`;
    const test = renumbered(await embed(sources.test, name), train.classes, name);
    return { train, test, testSource: sources.test };
  }
  const split = setAside(train.labels, seed);
  return {
    train: rowsOf(train, split.train),
    test: rowsOf(train, split.validation),
    testSource: { ...sources.train, indices: split.validation },
  };
}

/** Scores of `test` by what `train` says: neighbours, and a linear probe whose penalty is chosen on a fifth of `train`. */
export async function scoreFeatures(
  context: Context,
  { run, pool }: TrainedEncoder,
  train: LabelledTable,
  test: LabelledTable,
  seed: number,
): Promise<EvaluateOutput> {
  context.progress.live('fitting the linear probe');
  const { knn, probePenalties: penalties } = run.plan.evaluation;
  const probe = { penalties, validation: setAside(train.labels, seed).validation };
  const input = { train, test, classes: train.classes.length, ...knn, probe };
  return pool.run('evaluate', input, { signal: context.signal });
}
