/** What `tacit evaluate` does: features of training and test images, then probe, neighbours, rank, alignment and uniformity. */
import type { SourceSpec } from '../learning/data/source.ts';
import { alignment } from '../learning/evaluation/alignment-uniformity.ts';
import type { Confusion } from '../learning/evaluation/confusion.ts';
import { permutation, stream } from '../protocol/random.ts';
import type { EvaluateOptions } from './commands/evaluate.ts';
import type { Context } from './context.ts';
import { renderTable } from './table.ts';
import { embedLabelled, openTrainedEncoder, scoreFeatures, type TrainedEncoder } from './trained-encoder.ts';
import { formatCount, formatPercent } from './units.ts';

/** Truth in rows, prediction in columns; as many columns as a terminal has room for. */
function confusionTable(classes: readonly string[], confusion: Confusion): string {
  const columns = classes.map((name) => ({ title: name.slice(0, 6), align: 'right' as const }));
  const rows = confusion.map((counts, c) => [classes[c]!, ...counts.map((n) => (n === 0 ? '·' : formatCount(n)))]);
  return renderTable([{ title: 'is \\ called' }, ...columns], rows);
}

/** Test images of which two views are compared: enough for two digits. */
const ALIGNED = 500;

/** Mean squared distance between the embeddings of two augmented views of the same image. */
async function alignmentOf({ run, pool }: TrainedEncoder, source: SourceSpec, rows: number, signal: AbortSignal) {
  const { plan, model } = run;
  const indices = permutation(stream(plan.seed, 'alignment'), rows).slice(0, ALIGNED);
  const { views } = await pool.run('views', { plan, source, indices, views: 2, seed: plan.seed }, { signal });
  const [first, second] = await Promise.all(
    views.map((image) => pool.run('embed', { plan, model, source: { kind: 'memory', image } }, { signal })),
  );
  return alignment(first!, second!);
}

/** Scores an encoder and prints accuracies as fractions of the test images. */
export async function evaluate(context: Context, options: EvaluateOptions, path: string): Promise<void> {
  const trained = await openTrainedEncoder(context, path, options);
  const { run, pool } = trained;
  const seed = options.seed ?? run.plan.seed;
  const { train, test, testSource } = await embedLabelled(context, trained, options, seed);
  const scores = await scoreFeatures(context, trained, train, test, seed);
  const aligned = await alignmentOf(trained, testSource, test.features.rows, context.signal);
  await pool.close();
  const { linear } = scores;
  const perClass = Object.fromEntries(train.classes.map((name, c) => [name, linear?.perClass[c] ?? null]));
  const result = {
    run: path,
    examples: train.features.rows,
    testImages: test.features.rows,
    classes: train.classes,
    dimension: train.features.columns,
    linearProbe: linear?.accuracy,
    penalty: linear?.penalty,
    perClass,
    confusion: linear?.confusion,
    knn: scores.knn,
    rankMe: scores.rankMe,
    alignment: aligned,
    uniformity: scores.uniformity,
    engine: pool.engine,
    seed,
  };
  const rows = train.classes.map((name) => [name, perClass[name] == null ? '–' : formatPercent(perClass[name])]);
  const text = [
    `linear probe  ${formatPercent(scores.linear?.accuracy ?? Number.NaN)} % of ${formatCount(test.features.rows)} test images`,
    `neighbours    ${formatPercent(scores.knn)} % (k = ${run.plan.evaluation.knn.neighbours})`,
    `RankMe        ${scores.rankMe.toFixed(1)} of ${train.features.columns} dimensions`,
    `alignment     ${aligned.toFixed(3)}`,
    `uniformity    ${scores.uniformity.toFixed(3)}`,
    '',
    renderTable([{ title: 'class' }, { title: '% right', align: 'right' }], rows),
    '',
    ...(linear ? [confusionTable(train.classes, linear.confusion)] : []),
  ];
  context.result(result, text.join('\n'));
}
