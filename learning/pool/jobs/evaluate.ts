/** What features are worth when all training labels are known: linear probe, neighbours, confusion, effective rank. */
import { uniformity } from '../../evaluation/alignment-uniformity.ts';
import { type Confusion, confusionMatrix, perClassAccuracy } from '../../evaluation/confusion.ts';
import { type LabelledFeatures, selectLabelled } from '../../evaluation/features.ts';
import { knn } from '../../evaluation/knn.ts';
import { agreement, chooseProbe, type LinearProbe, predict } from '../../evaluation/linear-probe.ts';
import { rankMe } from '../../evaluation/rank-me.ts';
import type { JobContext } from '../job.ts';

export interface EvaluateInput {
  readonly train: LabelledFeatures;
  readonly test: LabelledFeatures;
  readonly classes: number;
  readonly neighbours: number;
  readonly temperature: number;
  /** Absent: no linear probe. */
  readonly probe?: {
    readonly penalties: readonly number[];
    /** Rows of `train` that choose the penalty; the others train. */
    readonly validation: Int32Array;
  };
}

export interface EvaluateOutput {
  /** Accuracies are fractions of the test rows. */
  readonly knn: number;
  /** Of the test features. */
  readonly rankMe: number;
  readonly uniformity: number;
  readonly linear?: {
    readonly accuracy: number;
    readonly penalty: number;
    readonly perClass: readonly (number | null)[];
    readonly confusion: Confusion;
    readonly probe: LinearProbe;
  };
}

function linear({ train, test, classes, probe }: EvaluateInput): EvaluateOutput['linear'] {
  if (!probe) return undefined;
  const held = new Set(probe.validation);
  const rest = Array.from({ length: train.features.rows }, (_, i) => i).filter((i) => !held.has(i));
  const chosen = chooseProbe(selectLabelled(train, rest), selectLabelled(train, probe.validation), {
    classes,
    penalties: probe.penalties,
  }).probe;
  const predicted = predict(chosen, test.features);
  const confusion = confusionMatrix(test.labels, predicted, classes);
  return {
    accuracy: agreement(predicted, test.labels),
    penalty: chosen.penalty,
    perClass: perClassAccuracy(confusion),
    confusion,
    probe: chosen,
  };
}

export async function evaluate(input: EvaluateInput, context: JobContext): Promise<EvaluateOutput> {
  const { train, test, classes, neighbours, temperature } = input;
  const voted = knn(train, test.features, { classes, neighbours, temperature });
  context.checkpoint();
  const probed = linear(input);
  context.checkpoint();
  return {
    knn: agreement(voted, test.labels),
    rankMe: rankMe(test.features),
    uniformity: test.features.rows > 1 ? uniformity(test.features) : 0,
    ...(probed ? { linear: probed } : {}),
  };
}
