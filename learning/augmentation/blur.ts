/** Gaussian blur with a random width, as one pair of matrices per image; an image that is not blurred gets the identity. */
import { blank, type Part, uniform } from './part.ts';
import { applySeparable, separableSpecs } from './separable.ts';

/** Row i of a Gaussian over n positions that sums to 1; pixels beyond the edge repeat the edge. σ = 0: the identity. */
function fillGaussian(
  matrix: Float32Array | Int32Array,
  start: number,
  n: number,
  sigma: number,
  byRow: boolean,
): void {
  const radius = Math.ceil(3 * sigma);
  const weights = Array.from({ length: 2 * radius + 1 }, (_, k) =>
    sigma === 0 ? 1 : Math.exp(-((k - radius) ** 2) / (2 * sigma ** 2)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (let i = 0; i < n; i++)
    for (const [k, weight] of weights.entries()) {
      const j = Math.min(Math.max(i + k - radius, 0), n - 1);
      matrix[start + (byRow ? i * n + j : j * n + i)]! += weight / total;
    }
}

export const blur: Part = {
  active: (spec) => spec.blur.probability > 0,
  specs: (_, shape, batch) => separableSpecs(shape, batch),
  draw: (rng, spec, shape, batch) => {
    const [height, width] = shape;
    const { rows, columns } = blank(separableSpecs(shape, batch));
    for (let b = 0; b < batch; b++) {
      const sigma = rng.next() < spec.blur.probability ? uniform(rng, spec.blur.sigma) : 0;
      fillGaussian(rows.data, b * height * height, height, sigma, true);
      fillGaussian(columns.data, b * width * width, width, sigma, false);
    }
    return { rows, columns };
  },
  apply: (nn, images, { rows, columns }) => applySeparable(nn, images, rows!, columns!),
};
