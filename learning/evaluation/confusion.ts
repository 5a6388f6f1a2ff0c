/** Confusion matrix and what follows from it. */

/** counts[truth][predicted] */
export type Confusion = readonly (readonly number[])[];

export function confusionMatrix(truth: Int32Array, predicted: Int32Array, classes: number): Confusion {
  if (truth.length !== predicted.length) throw new RangeError('confusionMatrix: as many predictions as labels, please');
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < truth.length; i++) {
    const row = counts[truth[i]!];
    if (row?.[predicted[i]!] === undefined) throw new RangeError(`confusionMatrix: a class outside 0 … ${classes - 1}`);
    row[predicted[i]!]!++;
  }
  return counts;
}

/** Recall of each class; null for a class without examples. */
export const perClassAccuracy = (confusion: Confusion): (number | null)[] =>
  confusion.map((row, c) => {
    const total = row.reduce((sum, n) => sum + n, 0);
    return total === 0 ? null : row[c]! / total;
  });

/** Fraction of all examples on the diagonal. */
export function accuracyOf(confusion: Confusion): number {
  const total = confusion.flat().reduce((sum, n) => sum + n, 0);
  return confusion.reduce((sum, row, c) => sum + row[c]!, 0) / total;
}
