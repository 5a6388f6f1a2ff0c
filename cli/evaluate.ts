/** What `tacit evaluate` does: features of training and test images, then probe, neighbours and rank. */
import type { EvaluateOptions } from './commands/evaluate.ts';
import type { Context } from './context.ts';
import { renderTable } from './table.ts';
import { embedLabelled, openTrainedEncoder, setAside } from './trained-encoder.ts';
import { formatCount, formatPercent } from './units.ts';

/** Scores an encoder and prints accuracies as fractions of the test images. */
export async function evaluate(context: Context, options: EvaluateOptions, path: string): Promise<void> {
  const trained = await openTrainedEncoder(context, path, options);
  const { run, pool } = trained;
  const seed = options.seed ?? run.plan.seed;
  const { train, test } = await embedLabelled(context, trained, options, seed);
  const { knn, probePenalties } = run.plan.evaluation;
  context.progress.live('fitting the linear probe');
  const scores = await pool.run(
    'evaluate',
    {
      train,
      test,
      classes: train.classes.length,
      ...knn,
      probe: { penalties: probePenalties, validation: setAside(train.labels, seed).validation },
    },
    { signal: context.signal },
  );
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
    uniformity: scores.uniformity,
    engine: pool.engine,
    seed,
  };
  const rows = train.classes.map((name) => [name, perClass[name] == null ? '–' : formatPercent(perClass[name])]);
  const text = [
    `linear probe  ${formatPercent(scores.linear?.accuracy ?? Number.NaN)} % of ${formatCount(test.features.rows)} test images`,
    `neighbours    ${formatPercent(scores.knn)} % (k = ${knn.neighbours})`,
    `RankMe        ${scores.rankMe.toFixed(1)} of ${train.features.columns} dimensions`,
    `uniformity    ${scores.uniformity.toFixed(3)}`,
    '',
    renderTable([{ title: 'class' }, { title: '% right', align: 'right' }], rows),
  ];
  context.result(result, text.join('\n'));
}
