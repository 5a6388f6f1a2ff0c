/** The vision transformer as naive loops, one image at a time, in double precision. */
import { dense, type Image, layerNorm, type Matrix, mean, type NamedWeights, within } from './network.ts';

/** erf by its power series; in double precision up to |x| of about 4. */
function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const gelu = (x: number): number => (Math.abs(x) > 5 ? Math.max(x, 0) : (x * (1 + erf(x / Math.SQRT2))) / 2);

const plus = (a: Matrix, b: Matrix): Matrix => a.map((row, i) => row.map((v, j) => v + b[i]![j]!));

/** Pixels of each patch, patches row by row, pixels row by row, channels last. */
export function patchesOf(image: Image, size: number): Matrix {
  const [rows, columns] = [image.length / size, image[0]!.length / size];
  return Array.from({ length: rows * columns }, (_, p) => {
    const [top, left] = [Math.floor(p / columns) * size, (p % columns) * size];
    return image.slice(top, top + size).flatMap((row) => row.slice(left, left + size).flat());
  });
}

function attention(x: Matrix, weights: NamedWeights, heads: number): Matrix {
  const dim = x[0]!.length;
  const size = dim / heads;
  const all = dense(x, weights['attention/kernel']!, weights['attention/bias']!);
  const gathered = x.map((): number[] => []);
  for (let h = 0; h < heads; h++) {
    const part = (which: number): Matrix =>
      all.map((row) => row.slice(which * dim + h * size, which * dim + (h + 1) * size));
    const [queries, keys, values] = [part(0), part(1), part(2)];
    for (const [i, q] of queries.entries()) {
      const weight = keys.map((k) => Math.exp(k.reduce((sum, v, j) => sum + v * q[j]!, 0) / Math.sqrt(size)));
      const total = weight.reduce((a, b) => a + b, 0);
      for (let j = 0; j < size; j++)
        gathered[i]!.push(values.reduce((sum, v, t) => sum + (weight[t]! / total) * v[j]!, 0));
    }
  }
  return dense(gathered, weights['mixed/kernel']!, weights['mixed/bias']!);
}

export const vit = (
  images: readonly Image[],
  weights: NamedWeights,
  {
    patch,
    depth,
    heads,
    dim,
  }: { readonly patch: number; readonly depth: number; readonly heads: number; readonly dim: number },
): Matrix =>
  images.map((image) => {
    const normed = (x: Matrix, own: NamedWeights, name: string): Matrix =>
      layerNorm(x, own[`${name}/scale`]!, own[`${name}/offset`]!);
    const embedded = dense(patchesOf(image, patch), weights['patches/kernel']!, weights['patches/bias']!);
    let hidden = embedded.map((row, t) => row.map((v, j) => v + weights.positions!.data[t * dim + j]!));
    for (let i = 0; i < depth; i++) {
      const own = within(`block${i}/`, weights);
      hidden = plus(hidden, attention(normed(hidden, own, 'norm0'), own, heads));
      const expanded = dense(normed(hidden, own, 'norm1'), own['expand/kernel']!, own['expand/bias']!);
      const active = expanded.map((row) => row.map(gelu));
      hidden = plus(hidden, dense(active, own['contract/kernel']!, own['contract/bias']!));
    }
    const last = normed(hidden, weights, 'norm');
    return last[0]!.map((_, j) => mean(last.map((row) => row[j]!)));
  });
