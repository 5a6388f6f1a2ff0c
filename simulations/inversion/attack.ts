/**
 * The analytic attack on a first dense layer: its gradient is Σ xᵢ ⊗ gᵢ over the images xᵢ of a batch, so that with one image every
 * column of the update is that image up to a factor, and with several each column is a blend of them. Phong et al., IEEE TIFS 2018;
 * Zhu, Liu & Han, NeurIPS 2019. Uses nothing but the update and that images are not negative.
 */

/** Guesses of one attack, best first: vectors like images, each up to a positive factor. */
export type Guesses = readonly Float64Array[];

/** Correlation of two pictures, −1 to 1, whatever their brightness and contrast; 0 for an even one. */
export function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const mean = (x: ArrayLike<number>): number => Array.from(x).reduce((sum, v) => sum + v, 0) / x.length;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]! - ma, b[i]! - mb];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
}

/** A column with the sign in which most of it is positive, and the share of its energy that then is. */
function upright(column: Float64Array): { picture: Float64Array; share: number } {
  const sum = column.reduce((a, b) => a + b, 0);
  const picture = sum < 0 ? column.map((x) => -x) : column;
  let positive = 0;
  let all = 0;
  for (const x of picture) {
    all += x * x;
    if (x > 0) positive += x * x;
  }
  return { picture, share: all > 0 ? positive / all : 0 };
}

/** Two guesses more alike than this are one. */
const SAME = 0.9;

/** At most `count` different pictures from the update of a kernel [pixels, units], row-major. */
export function invertFirstLayer(kernel: Float32Array, pixels: number, count: number): Guesses {
  const units = kernel.length / pixels;
  const columns = Array.from({ length: units }, (_, unit) =>
    upright(Float64Array.from({ length: pixels }, (_, pixel) => kernel[pixel * units + unit]!)),
  );
  columns.sort((a, b) => b.share - a.share);
  const guesses: Float64Array[] = [];
  for (const { picture, share } of columns) {
    if (guesses.length === count || share === 0) break;
    if (guesses.every((known) => correlation(known, picture) < SAME)) guesses.push(picture);
  }
  return guesses;
}
