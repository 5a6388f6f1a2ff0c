/**
 * `npm run bench -- pretext`: every pretext task on Fashion-MNIST under one budget: the same encoder `conv`, augmentation, optimiser,
 * batch and number of steps, with each task's own defaults. Beside them the random encoder and the raw pixels. One result per task:
 *   linearProbe  accuracy with all training labels; a fifth of them chooses the penalty
 *   knn          weighted vote of the 20 nearest of all training images
 *   tenPerClass  accuracy of a probe on ten labels per class, mean over the draws; the same draws for every task
 *   rankMe       effective rank of the test embeddings: near 1 is collapse
 *   ms           per training step, on one thread, compilation left out
 * Flags: `--tasks a,b`, `--steps N` (400), `--batch N` (128), `--draws N` (5), `--seed N`, `--set key=value` over the plan, and
 * `--tune`: scores come from half of the validation split, the other half chooses penalties, and no test image is looked at.
 */
import { parseArgs } from 'node:util';
import { parseOverride } from '../cli/overrides.ts';
import { bundledPlan, loadPlan } from '../cli/plan-file.ts';
import { type LabelledFeatures, selectLabelled } from '../learning/evaluation/features.ts';
import { modelOf } from '../learning/model.ts';
import { createPool } from '../learning/pool/pool.ts';
import { pretexts } from '../learning/registry.ts';
import { TacitError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import { type Experiment, openExperiment } from '../simulations/experiment.ts';
import { embedSplits, type RowContext } from '../simulations/rows.ts';
import type { Bench, BenchIo } from './report.ts';

const DATASET = 'fashion-mnist';
const BASELINES = ['random', 'pixels'];

type Result = Readonly<Record<'linearProbe' | 'knn' | 'tenPerClass' | 'rankMe', number>> & {
  readonly task: string;
  /** Absent where nothing is trained. */
  readonly ms?: number;
};

interface Flags {
  readonly tasks: readonly string[];
  readonly steps: number;
  readonly batch: number;
  readonly draws: number;
  readonly seed: number;
  readonly set: readonly string[];
  readonly tune: boolean;
}

function flagsOf(args: readonly string[]): Flags {
  const known = [...pretexts.keys(), ...BASELINES];
  const { values } = parseArgs({
    args: [...args],
    options: {
      tasks: { type: 'string', default: known.join() },
      steps: { type: 'string', default: '400' },
      batch: { type: 'string', default: '128' },
      draws: { type: 'string', default: '5' },
      seed: { type: 'string', default: '7' },
      set: { type: 'string', multiple: true, default: [] },
      tune: { type: 'boolean', default: false },
    },
  });
  const tasks = values.tasks.split(',');
  const unknown = tasks.find((task) => !known.includes(task));
  if (unknown !== undefined)
    throw new TacitError('usage/unknown-flag', `--tasks: there is no pretext task "${unknown}"`, {
      where: '--tasks',
      hint: `There are: ${known.join(', ')}.`,
    });
  const [steps, batch, draws, seed] = [values.steps, values.batch, values.draws, values.seed].map(Number);
  return { tasks, steps: steps!, batch: batch!, draws: draws!, seed: seed!, set: values.set, tune: values.tune };
}

/** What every task trains with, whatever the bundled plan trains with. */
const TRAINING = [
  'strategy={ name: fedavg }',
  'training.steps=1',
  'training.optimiser={ name: adam, learningRate: 1.0e-3 }',
  'training.schedule={ name: cosine, warmupRounds: 10 }',
];

/** The bundled plan under this budget; a round is a step, so that every schedule moves with each one. */
const planFor = (task: string, { steps, batch, draws, seed, set }: Flags): Promise<Plan> =>
  loadPlan(bundledPlan(DATASET), {
    seed,
    overrides: [
      ...TRAINING,
      `pretext=${BASELINES.includes(task) ? 'simclr' : task}`,
      `rounds.count=${steps}`,
      `training.batch=${batch}`,
      'evaluation.labelsPerClass=[10]',
      `evaluation.draws=${draws}`,
      ...set,
    ].map(parseOverride),
  });

/** The model to judge, and milliseconds of a step; nothing for pixels. */
async function trained(task: string, { plan, experiment, pool, signal }: RowContext, steps: number) {
  if (task === 'pixels') return {};
  if (task === 'random') return { model: modelOf(plan).init(plan.seed) };
  const times: number[] = [];
  const input = { plan, source: experiment.train, steps, seed: plan.seed };
  const onProgress = (): void => void times.push(performance.now());
  const { model } = await pool.run('central', input, { signal, onProgress });
  return { model, ms: (times.at(-1)! - times[0]!) / Math.max(1, times.length - 1) };
}

/** What is scored, and which labelled rows choose penalties: test images, or under `--tune` half of the validation split. */
function splitsOf(train: LabelledFeatures, test: LabelledFeatures, { validation }: Experiment, tune: boolean) {
  if (!tune) return { train, test, validation };
  const scored = new Set(validation.filter((_, i) => i % 2 === 1));
  const rest = Int32Array.from(train.labels.keys()).filter((i) => !scored.has(i));
  const position = new Map(Array.from(rest, (row, at) => [row, at]));
  return {
    train: selectLabelled(train, rest),
    test: selectLabelled(train, [...scored]),
    validation: validation.filter((_, i) => i % 2 === 0).map((row) => position.get(row)!),
    position,
  };
}

async function judge(context: RowContext, model: NamedArrays | undefined, tune: boolean) {
  const { plan, experiment, pool, signal } = context;
  const embedded = await embedSplits(context, 'embed', model);
  const { position, ...splits } = splitsOf(embedded.train, embedded.test, experiment, tune);
  const draws = experiment.draws.map((list) =>
    list.map((rows) => (position ? rows.map((row) => position.get(row)!) : rows)),
  );
  const { probePenalties: penalties, knn } = plan.evaluation;
  const classes = experiment.classes.length;
  const { validation, ...features } = splits;
  const [few, all] = await Promise.all([
    pool.run('probe', { ...splits, classes, draws, penalties }, { signal }),
    pool.run('evaluate', { ...features, classes, ...knn, probe: { penalties, validation } }, { signal }),
  ]);
  return { linearProbe: all.linear!.accuracy, knn: all.knn, tenPerClass: few.mean[0]!, rankMe: all.rankMe };
}

const line = ({ task, linearProbe, knn, tenPerClass, rankMe, ms }: Result): string => {
  const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;
  const time = ms === undefined ? '' : `, ${ms.toFixed(1)} ms per step`;
  return `${task}: probe ${percent(linearProbe)}, neighbours ${percent(knn)}, ten per class ${percent(tenPerClass)}, rank ${rankMe.toFixed(1)}${time}`;
};

export const run: Bench = async (args, io: BenchIo) => {
  const flags = flagsOf(args);
  const pool = await createPool();
  const results: Result[] = [];
  try {
    for (const task of flags.tasks) {
      const plan = await planFor(task, flags);
      const experiment = await openExperiment(plan, DATASET, flags.seed);
      const context: RowContext = { plan, experiment, pool, signal: io.signal, onProgress: () => {} };
      const { model, ms } = await trained(task, context, flags.steps);
      const judged = await judge(context, model, flags.tune);
      results.push({ task, ...judged, ...(ms === undefined ? {} : { ms }) });
      io.progress(line(results.at(-1)!));
    }
  } finally {
    await pool.close();
  }
  const random = results.find(({ task }) => task === 'random');
  const ratios = results
    .filter(({ task }) => random && !BASELINES.includes(task))
    .map(({ task, linearProbe }) => [`${task}/random, linear probe`, linearProbe / random!.linearProbe] as const);
  const { steps, batch, draws, seed, tune } = flags;
  return {
    results,
    ratios: Object.fromEntries(ratios),
    notes: { engine: pool.engine, steps, batch, draws, seed, tune },
  };
};
