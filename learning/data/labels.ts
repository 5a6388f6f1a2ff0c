/** Labels of a source, for partitioning and evaluation only: a pretext task never sees them. */
import { TacitError } from '../../protocol/errors.ts';
import { permutation, stream } from '../../protocol/random.ts';
import type { NDArray } from '../../protocol/tensors.ts';
import type { DataSource } from './source.ts';

/** The group of every example. @throws TacitError data/unreadable if the source has none */
export function labelsOf(source: DataSource): Int32Array {
  const { group } = source;
  if (!group) {
    throw new TacitError('data/unreadable', 'the data source has no labels, and this needs them', {
      hint: 'put the images of each class into a subfolder of its own, or name the label column of the CSV file',
    });
  }
  return Int32Array.from({ length: source.length }, (_, index) => group.call(source, index));
}

/** All examples at once: float32 [length, height, width, channels]; for sources that fit into memory. */
export async function imagesOf(source: DataSource): Promise<NDArray> {
  const { image } = await source.read(Int32Array.from({ length: source.length }, (_, index) => index));
  return image;
}

function indicesByClass(labels: Int32Array): number[][] {
  const classes: number[][] = [];
  labels.forEach((label, index) => {
    for (let c = classes.length; c <= label; c++) classes.push([]);
    classes[label]!.push(index);
  });
  return classes;
}

export interface LabelDraw {
  readonly labels: Int32Array;
  readonly perClass: number;
  /** Which of the repeated draws; draws differ, and the same draw is the same for every model. */
  readonly draw: number;
  readonly seed: number | string;
}

/**
 * Chooses the examples whose labels are revealed: `perClass` of every class that occurs, class by class.
 * @throws TacitError data/too-few-examples if a class has fewer
 */
export function drawLabels({ labels, perClass, draw, seed }: LabelDraw): Int32Array {
  const rng = stream(seed, 'labels', perClass, draw);
  const chosen = indicesByClass(labels).flatMap((members, label) => {
    if (members.length > 0 && members.length < perClass) {
      const found = `class ${label} has ${members.length} examples, ${perClass} labels of it are wanted`;
      throw new TacitError('data/too-few-examples', found);
    }
    return Array.from(permutation(rng, members.length).subarray(0, perClass), (i) => members[i]!);
  });
  return Int32Array.from(chosen);
}

export interface ValidationSplit {
  readonly train: Int32Array;
  readonly validation: Int32Array;
}

/** Sets aside `fraction` of every class (rounded, at least 1 of a class that has 2); both lists ascend. */
export function splitValidation(options: {
  readonly labels: Int32Array;
  readonly fraction: number;
  readonly seed: number | string;
}): ValidationSplit {
  const { labels, fraction, seed } = options;
  const rng = stream(seed, 'validation', String(fraction));
  const train: number[] = [];
  const validation: number[] = [];
  for (const members of indicesByClass(labels)) {
    const wanted = Math.round(members.length * fraction);
    const taken = Math.min(Math.max(wanted, 1), Math.max(0, members.length - 1));
    permutation(rng, members.length).forEach((i, place) => {
      (place < taken ? validation : train).push(members[i]!);
    });
  }
  return { train: Int32Array.from(train).sort(), validation: Int32Array.from(validation).sort() };
}
