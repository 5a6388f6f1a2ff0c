/**
 * The clipping norm of the next round: towards a quantile of the norms, by the noised share of updates that were within it.
 * Andrew, Thakkar, McMahan & Ramaswamy 2021 (arXiv 1905.03871).
 */
export function nextClipNorm(
  clipNorm: number,
  within: number,
  { quantile, rate }: { readonly quantile: number; readonly rate: number },
): number {
  const next = Math.fround(clipNorm * Math.exp(-rate * (within - quantile)));
  return Math.min(Math.max(next, 1e-6), 1e6);
}
