/**
 * Is one way of training better than another? The difference of their accuracies on the same label draws and the same test images, with two
 * standard errors of it:
 *
 * - over the label draws, the test images being what they are: the spread of the paired draws;
 * - over draws and images, both taken for a sample. Draws and images are crossed (each draw is scored on each image), so the variance of the
 *   mean is (MS_draws + MS_images − MS_rest)/(draws · images), by the mean squares of a two-way analysis of variance with
 *   random effects (Searle, Casella & McCulloch, Variance Components, 1992, ch. 4).
 *
 * The second one knows of the luck of a training as well, as far as that turns single images right or wrong: two trainings that rounding
 * has taken apart differ on some images, about as often for the better as for the worse. The first one does not.
 */
import type { ScoredCurve } from './label-budget.ts';

/** Fractions, not percentages. */
export interface PairedDifference {
  readonly mean: number;
  /** Of `mean`, over the label draws alone; 0 for one draw. */
  readonly overDraws: number;
  /** Of `mean`, over label draws and test images; never below the first. */
  readonly overDrawsAndImages: number;
}

const meanOf = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, v) => sum + v, 0) / values.length;

/** Σ(x − mean)² */
const spreadOf = (values: ArrayLike<number>, mean: number): number =>
  Array.from(values).reduce((sum, v) => sum + (v - mean) ** 2, 0);

/** @param a hits of each draw, [test images]; @param b those of the other way, as many */
function differenceOf(a: readonly Uint8Array[], b: readonly Uint8Array[]): PairedDifference {
  const draws = a.length;
  const images = a[0]?.length ?? 0;
  if (b.length !== draws || [...a, ...b].some((right) => right.length !== images)) {
    throw new RangeError('pairedDifferences: both need the same draws on the same images');
  }
  const cells = a.map((right, j) => Float64Array.from(right, (hit, n) => hit - b[j]![n]!));
  const ofDraw = cells.map(meanOf);
  const ofImage = Array.from({ length: images }, (_, n) => meanOf(cells.map((row) => row[n]!)));
  const mean = meanOf(ofDraw);
  const squares = { draws: images * spreadOf(ofDraw, mean), images: draws * spreadOf(ofImage, mean) };
  const total = cells.reduce((sum, row) => sum + spreadOf(row, mean), 0);
  const per = (sum: number, freedom: number): number => (freedom > 0 ? sum / freedom : 0);
  const meanSquares = {
    draws: per(squares.draws, draws - 1),
    images: per(squares.images, images - 1),
    rest: per(total - squares.draws - squares.images, (draws - 1) * (images - 1)),
  };
  const variance = (meanSquares.draws + meanSquares.images - meanSquares.rest) / (draws * images);
  const ofDraws = meanSquares.draws / (draws * images);
  return {
    mean,
    overDraws: Math.sqrt(ofDraws),
    overDrawsAndImages: Math.sqrt(Math.max(ofDraws, variance)),
  };
}

/** a − b, per label count. @throws RangeError unless both curves have the same draws and test images */
export const pairedDifferences = (a: ScoredCurve, b: ScoredCurve): PairedDifference[] =>
  a.hits.map((list, i) => differenceOf(list, b.hits[i] ?? []));
