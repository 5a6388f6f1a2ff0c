/** Self-supervised losses as their papers write them: loops over examples and pairs, in double precision. */
import { type Matrix, mean } from './network.ts';

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
