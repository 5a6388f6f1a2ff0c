/** What `tacit finetune` does: a few labels per class, the encoder of a run, and a score on images that were set aside. */
import { drawLabels, labelsOf } from '../learning/data/labels.ts';
import { openSource } from '../learning/data/open.ts';
import type { DataSource, SourceSpec } from '../learning/data/source.ts';
import { confusionMatrix, perClassAccuracy } from '../learning/evaluation/confusion.ts';
import { planBytesOf } from '../learning/run-folder.ts';
import { TacitError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import { encodeSafetensors } from '../protocol/safetensors.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import type { FinetuneOptions } from './commands/finetune.ts';
import type { Context } from './context.ts';
import { writeOutput } from './output-file.ts';
import { labelledSources, openTrainedEncoder, setAside } from './trained-encoder.ts';
import { formatCount, formatPercent } from './units.ts';

interface Split {
  readonly train: SourceSpec;
  readonly test: SourceSpec;
  readonly classes: readonly string[];
  readonly labelled: number;
  readonly truth: Int32Array;
}

const classesOf = (source: DataSource): readonly string[] => source.groups ?? [];

/** Which examples are trained on and which are scored. */
async function splitOf(plan: Plan, options: FinetuneOptions, seed: number): Promise<Split> {
  const sources = await labelledSources(options);
  const source = await openSource(sources.train, plan.data);
  const labels = labelsOf(source);
  const classes = classesOf(source);
  const all = Int32Array.from(labels.keys());
  const split = sources.test ? { train: all, validation: all } : setAside(labels, seed);
  const perClass = options.labelsPerClass;
  const pool = split.train.map((i) => labels[i]!);
  const train =
    perClass === undefined
      ? split.train
      : drawLabels({ labels: pool, perClass, draw: 0, seed }).map((i) => split.train[i]!);
  const test = sources.test ?? { ...sources.train, indices: split.validation };
  const testSource = await openSource(test, plan.data);
  if (JSON.stringify(classesOf(testSource)) !== JSON.stringify(classes)) {
    throw new TacitError('data/unreadable', 'The classes of --test are not those of --data.', {
      where: `--test ${options.test}`,
      hint: `--data has the classes ${classes.join(', ')}.`,
    });
  }
  const truth = labelsOf(testSource);
  return { train: { ...sources.train, indices: train }, test, classes, labelled: train.length, truth };
}

async function save(path: string, model: NamedArrays, plan: Plan, classes: readonly string[]): Promise<void> {
  const metadata = { plan: new TextDecoder().decode(planBytesOf(plan)), classes: JSON.stringify(classes) };
  await writeOutput('--out', path, encodeSafetensors(model, metadata));
}

/** Fine-tunes, scores, and keeps the classifier if a file was named. */
export async function finetune(context: Context, options: FinetuneOptions, path: string): Promise<void> {
  const { run, pool } = await openTrainedEncoder(context, path, options);
  const { plan } = run;
  const seed = options.seed ?? plan.seed;
  const { train, test, classes, labelled, truth } = await splitOf(plan, options, seed);
  const { steps, method: planned, batch, optimiser } = plan.fineTuning;
  const method = options.method ?? planned;
  const tuned = await pool.run(
    'fine-tune',
    {
      plan,
      tuning: { method, classes: classes.length, batch, optimiser },
      model: run.model,
      train,
      score: { test },
      at: [0, steps],
      seed,
      keep: options.out !== undefined,
    },
    {
      signal: context.signal,
      onProgress: ({ done, total }) => context.progress.live(`fine-tuning: step ${done} of ${total}`),
    },
  );
  await pool.close();
  const [before, accuracy] = tuned.accuracy.test!;
  const confusion = confusionMatrix(truth, tuned.predictions.test!, classes.length);
  const perClass = Object.fromEntries(classes.map((name, c) => [name, perClassAccuracy(confusion)[c]]));
  if (options.out !== undefined) await save(options.out, tuned.model!, plan, classes);
  context.result(
    {
      run: path,
      method,
      steps,
      labelled,
      labelsPerClass: options.labelsPerClass ?? null,
      testImages: truth.length,
      classes,
      accuracyBefore: before,
      accuracy,
      perClass,
      confusion,
      engine: pool.engine,
      seed,
      out: options.out ?? null,
    },
    [
      `${method}, ${steps} steps on ${formatCount(labelled)} labelled examples of ${classes.length} classes`,
      `before ${formatPercent(before!)} %, after ${formatPercent(accuracy!)} % of ${formatCount(truth.length)} test images`,
      ...(options.out === undefined ? [] : [`classifier ${options.out}`]),
    ].join('\n'),
  );
}
