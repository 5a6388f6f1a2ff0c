/**
 * The evaluation protocol of the main job: unlabelled training images, a small labelled pool and a validation split drawn from
 * them, and test images that are touched once. Label draws depend on the seed alone, so every row sees the same ones.
 */
import { drawLabels, labelsOf, splitValidation } from '../learning/data/labels.ts';
import { openSource } from '../learning/data/open.ts';
import type { BundledName, SourceSpec } from '../learning/data/source.ts';
import type { Plan } from '../protocol/plan.ts';

export interface Experiment {
  readonly train: SourceSpec;
  readonly test: SourceSpec;
  readonly classes: readonly string[];
  readonly trainLabels: Int32Array;
  readonly testLabels: Int32Array;
  /** Training images whose labels choose hyper-parameters, and nothing else. */
  readonly validation: Int32Array;
  /** draws[i][j]: indices into the training images, labelsPerClass[i] of each class. */
  readonly draws: readonly (readonly Int32Array[])[];
  readonly labelsPerClass: readonly number[];
}

/** The share of the training images whose labels are the validation split. */
const VALIDATION_SHARE = 0.2;

/** Opens a bundled data set and fixes splits and label draws for this seed. */
export async function openExperiment(plan: Plan, dataset: BundledName, seed: number): Promise<Experiment> {
  const train: SourceSpec = { kind: 'bundled', name: dataset, split: 'train' };
  const test: SourceSpec = { kind: 'bundled', name: dataset, split: 'test' };
  const trainSource = await openSource(train, plan.data);
  const testSource = await openSource(test, plan.data);
  const trainLabels = labelsOf(trainSource);
  const split = splitValidation({ labels: trainLabels, fraction: VALIDATION_SHARE, seed });
  const poolLabels = split.train.map((i) => trainLabels[i]!);
  const { labelsPerClass, draws } = plan.evaluation;
  return {
    train,
    test,
    classes: trainSource.groups ?? [],
    trainLabels,
    testLabels: labelsOf(testSource),
    validation: split.validation,
    labelsPerClass,
    draws: labelsPerClass.map((perClass) =>
      Array.from({ length: draws }, (_, draw) =>
        drawLabels({ labels: poolLabels, perClass, draw, seed }).map((i) => split.train[i]!),
      ),
    ),
  };
}
