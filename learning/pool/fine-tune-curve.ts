/**
 * Label-budget curves of supervised training (fine-tuning, or from scratch): many `fine-tune` jobs side by side, and the choice
 * of settings among them.
 *
 * Settings and the number of steps are chosen once for all draws of a label count, by mean accuracy on the validation split
 * over the first few draws. Test accuracies of what was not chosen are discarded unread.
 */
import type { Plan } from '../../protocol/plan.ts';
import type { NamedArrays } from '../../protocol/tensors.ts';
import type { SourceSpec } from '../data/source.ts';
import { labelCurve, type ScoredCurve } from '../evaluation/label-budget.ts';
import { indexOfLargest } from '../evaluation/linear-probe.ts';
import type { FineTuning } from '../fine-tuning.ts';
import type { Progress } from './job.ts';
import type { FineTuneOutput } from './jobs/fine-tune.ts';
import type { TrainingPool } from './scheduler.ts';

export interface FineTuneCurveInput {
  readonly plan: Plan;
  /** Weights to start from; absent: from scratch, with a random encoder of its own for each draw. */
  readonly model?: NamedArrays | undefined;
  readonly train: SourceSpec;
  readonly test: SourceSpec;
  /** draws[i][j]: labelled examples of `train` for label count i, draw j. */
  readonly draws: readonly (readonly Int32Array[])[];
  /** Examples of `train` whose labels choose the settings. */
  readonly validation: Int32Array;
  /** Among which the validation split chooses. */
  readonly settings: readonly FineTuning[];
  /** Numbers of steps among which it chooses, ascending. */
  readonly steps: readonly number[];
  /** Penalty of the probe that `lp-ft` starts from, per label count. */
  readonly penalties?: readonly number[];
  /** Draws on which settings are compared (default 3); the others are trained with the chosen ones only. */
  readonly tuningDraws?: number;
  readonly seed: string | number;
}

export interface FineTuneChoice {
  readonly setting: FineTuning;
  readonly steps: number;
  /** Mean over the draws that were compared. */
  readonly validationAccuracy: number;
}

export interface FineTuneCurve extends ScoredCurve {
  /** Per label count. */
  readonly chosen: readonly FineTuneChoice[];
}

export interface CurveOptions {
  readonly signal?: AbortSignal | undefined;
  /** In steps of training, over the whole curve (an upper bound until settings are chosen). */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

/** Runs the whole curve on `pool`; jobs of different label counts and draws run side by side. */
export async function fineTuneCurve(
  pool: Pick<TrainingPool, 'run'>,
  input: FineTuneCurveInput,
  { signal, onProgress = () => {} }: CurveOptions = {},
): Promise<FineTuneCurve> {
  const { draws, settings, steps, tuningDraws = 3 } = input;
  const validation: SourceSpec = { ...input.train, indices: input.validation };
  const compared = settings.length * steps.length > 1 ? tuningDraws : 0;
  const total = draws.reduce((n, list) => n + list.length + Math.min(compared, list.length) * (settings.length - 1), 0);
  let done = 0;

  const runOne = async (
    i: number,
    j: number,
    tuning: FineTuning,
    at: readonly number[],
    tune: boolean,
  ): Promise<FineTuneOutput> => {
    const penalty = input.penalties?.[i];
    const output = await pool.run(
      'fine-tune',
      {
        plan: input.plan,
        model: input.model,
        tuning,
        train: { ...input.train, indices: draws[i]![j]! },
        score: tune ? { test: input.test, validation } : { test: input.test },
        at,
        seed: JSON.stringify([input.seed, i, j]),
        ...(penalty === undefined ? {} : { penalty }),
      },
      { signal },
    );
    onProgress({ done: ++done, total });
    return output;
  };

  const curveOfCount = async (
    list: readonly Int32Array[],
    i: number,
  ): Promise<{ scores: number[]; hits: Uint8Array[]; choice: FineTuneChoice }> => {
    const tuned = Math.min(Math.max(compared, 1), list.length);
    const tries = await Promise.all(
      settings.map((tuning) => Promise.all(Array.from({ length: tuned }, (_, j) => runOne(i, j, tuning, steps, true)))),
    );
    const options = settings.flatMap((setting, s) =>
      steps.map((count, k) => ({
        s,
        k,
        choice: { setting, steps: count, validationAccuracy: mean(tries[s]!.map((o) => o.accuracy.validation![k]!)) },
      })),
    );
    const { s, k, choice } = options[indexOfLargest(options.map((o) => o.choice.validationAccuracy))]!;
    const rest = await Promise.all(
      list.slice(tuned).map((_, j) => runOne(i, tuned + j, choice.setting, [choice.steps], false)),
    );
    const ends = [...tries[s]!.map((output) => ({ output, at: k })), ...rest.map((output) => ({ output, at: 0 }))];
    return {
      scores: ends.map(({ output, at }) => output.accuracy.test![at]!),
      hits: ends.map(({ output, at }) => output.hits.test![at]!),
      choice,
    };
  };

  const counts = await Promise.all(draws.map(curveOfCount));
  return {
    ...labelCurve(counts.map(({ scores }) => scores)),
    hits: counts.map(({ hits }) => hits),
    chosen: counts.map(({ choice }) => choice),
  };
}
