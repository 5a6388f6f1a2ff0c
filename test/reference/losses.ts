/** Self-supervised losses as their papers write them: loops over examples and pairs, in double precision. */
import { type Matrix, mean, standardise } from './network.ts';

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
const norm = (a: readonly number[]): number => Math.sqrt(dot(a, a));

/** c(z) = z·min(1, √μ/‖z‖) */
const shortened = (z: readonly number[], mu: number): number[] =>
  z.map((v) => (norm(z) === 0 ? v : v * Math.min(1, Math.sqrt(mu) / norm(z))));

/** −(2/B)·Σ⟨c(z₁), c(z₂)⟩ */
export const attraction = (first: Matrix, second: Matrix, mu: number): number =>
  -2 * mean(first.map((z, i) => dot(shortened(z, mu), shortened(second[i]!, mu))));

/** (1/2B)·Σ c(z)c(z)ᵀ over both views */
export function correlation(first: Matrix, second: Matrix, mu: number): Matrix {
  const all = [...first, ...second].map((z) => shortened(z, mu));
  return all[0]!.map((_, i) => all[0]!.map((_, j) => mean(all.map((z) => z[i]! * z[j]!))));
}

/** −(2/B)·Σ⟨c(z₁), c(z₂)⟩ + ‖R‖²_F */
export const spectral = (first: Matrix, second: Matrix, mu: number): number =>
  attraction(first, second, mu) +
  correlation(first, second, mu)
    .flat()
    .reduce((sum, r) => sum + r * r, 0);

/** Mean over all 2B views of −log( e^{s(i, partner)/τ} / Σ_{j≠i} e^{s(i, j)/τ} ), s the cosine similarity. */
export function ntXent(first: Matrix, second: Matrix, temperature: number): number {
  const batch = first.length;
  const all = [...first, ...second];
  const similarity = (i: number, j: number): number => dot(all[i]!, all[j]!) / (norm(all[i]!) * norm(all[j]!));
  return mean(
    all.map((_, i) => {
      const partner = (i + batch) % (2 * batch);
      let partition = 0;
      for (let j = 0; j < 2 * batch; j++) if (j !== i) partition += Math.exp(similarity(i, j) / temperature);
      return -Math.log(Math.exp(similarity(i, partner) / temperature) / partition);
    }),
  );
}

/** λ·mean (z₁ − z₂)² + μ·Σ_views mean_j max(0, 1 − √(Var_j + 10⁻⁴)) + ν·Σ_views Σ_{i≠j} Cov_ij²/D; variances over B − 1. */
export function vicreg(
  first: Matrix,
  second: Matrix,
  weights: { readonly invariance: number; readonly variance: number; readonly covariance: number },
): number {
  const dim = first[0]!.length;
  const distance = mean(first.flatMap((row, i) => row.map((v, j) => (v - second[i]![j]!) ** 2)));
  let [hinges, covariances] = [0, 0];
  for (const view of [first, second]) {
    const centre = Array.from({ length: dim }, (_, j) => mean(view.map((row) => row[j]!)));
    const covariance = (i: number, j: number): number =>
      view.reduce((sum, row) => sum + (row[i]! - centre[i]!) * (row[j]! - centre[j]!), 0) / (view.length - 1);
    for (let i = 0; i < dim; i++) {
      hinges += Math.max(0, 1 - Math.sqrt(covariance(i, i) + 1e-4)) / dim;
      for (let j = 0; j < dim; j++) if (j !== i) covariances += covariance(i, j) ** 2 / dim;
    }
  }
  return weights.invariance * distance + weights.variance * hinges + weights.covariance * covariances;
}

const cosine = (a: readonly number[], b: readonly number[]): number => dot(a, b) / (norm(a) * norm(b));

/** ½·mean cos(p₁, t₂) + ½·mean cos(p₂, t₁); predictions and targets of both views. */
export const crossCosine = (predictions: readonly [Matrix, Matrix], targets: readonly [Matrix, Matrix]): number =>
  mean([0, 1].map((view) => mean(predictions[view]!.map((p, i) => cosine(p, targets[1 - view]![i]!)))));

/** Mean over both views' queries of −log( e^{q·k⁺/τ} / (e^{q·k⁺/τ} + Σ e^{q·k/τ}) ), k⁺ the other view's key. */
export function moco(
  queries: readonly [Matrix, Matrix],
  keys: readonly [Matrix, Matrix],
  queue: Matrix,
  temperature: number,
): number {
  const losses = [0, 1].flatMap((view) =>
    queries[view]!.map((q, i) => {
      const positive = Math.exp(cosine(q, keys[1 - view]![i]!) / temperature);
      const negatives = queue.map((key) => Math.exp(dot(q, key) / norm(q) / temperature));
      return -Math.log(positive / (positive + negatives.reduce((sum, n) => sum + n, 0)));
    }),
  );
  return mean(losses);
}

/** s·(Σᵢ(1 − C_ii)² + λ·Σ_{i≠j} C_ij²), C the correlations between the coordinates of the two views over the batch. */
export function barlow(
  first: Matrix,
  second: Matrix,
  { redundancy, scale }: { readonly redundancy: number; readonly scale: number },
): number {
  const columns = (rows: Matrix): number[][] => rows[0]!.map((_, j) => standardise(rows.map((row) => row[j]!)));
  const [one, two] = [columns(first), columns(second)];
  let loss = 0;
  for (const [i, a] of one.entries())
    for (const [j, b] of two.entries()) {
      const correlation = mean(a.map((v, n) => v * b[n]!));
      loss += i === j ? (1 - correlation) ** 2 : redundancy * correlation ** 2;
    }
  return scale * loss;
}

/** Sinkhorn-Knopp on e^{s/ε}: columns to sum B/K, then rows to sum 1, so many times. */
export function sinkhorn(cosines: Matrix, epsilon: number, iterations: number): Matrix {
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const [rows, columns] = [cosines.length, cosines[0]!.length];
  let codes = cosines.map((row) => row.map((s) => Math.exp(s / epsilon)));
  for (let t = 0; t < iterations; t++) {
    const totals = codes[0]!.map((_, k) => sum(codes.map((row) => row[k]!)));
    codes = codes.map((row) => row.map((q, k) => (q * rows) / columns / totals[k]!));
    codes = codes.map((row) => row.map((q) => q / sum(row)));
  }
  return codes;
}

const logSoftmax = (logits: readonly number[]): number[] => {
  const total = Math.log(logits.reduce((sum, l) => sum + Math.exp(l), 0));
  return logits.map((l) => l - total);
};

/** Cross-entropy of each view's assignment with the other view's codes, which come from `still`. */
export function swav(
  views: readonly [Matrix, Matrix],
  still: readonly [Matrix, Matrix],
  prototypes: { readonly moving: Matrix; readonly still: Matrix },
  options: { readonly temperature: number; readonly epsilon: number; readonly iterations: number },
): number {
  const cosines = (rows: Matrix, directions: Matrix): Matrix => rows.map((z) => directions.map((c) => cosine(z, c)));
  const losses = [0, 1].flatMap((view) => {
    const codes = sinkhorn(cosines(still[1 - view]!, prototypes.still), options.epsilon, options.iterations);
    return cosines(views[view]!, prototypes.moving).map((row, i) => {
      const predicted = logSoftmax(row.map((s) => s / options.temperature));
      return -dot(codes[i]!, predicted);
    });
  });
  return mean(losses);
}

/** Mean cross-entropy of scores whose rows hold a quarter of each class, class by class. */
export const rotation = (scores: Matrix): number =>
  mean(scores.map((row, i) => -logSoftmax(row)[Math.floor(i / (scores.length / 4))]!));

/** Mean over hidden patches of the mean squared error against the patch's pixels, standardised. All: [image][patch][pixel]. */
export function mae(patches: readonly Matrix[], made: readonly Matrix[], hidden: Matrix): number {
  const errors = patches.flatMap((image, b) =>
    image.flatMap((patch, p) => {
      const target = standardise(patch, 1e-6);
      return hidden[b]![p] === 1 ? [mean(target.map((v, i) => (made[b]![p]![i]! - v) ** 2))] : [];
    }),
  );
  return mean(errors);
}
