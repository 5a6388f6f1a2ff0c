/** Naïve references of robust aggregation: plain arrays, one coordinate or one pair at a time, by the definitions. */

type Vector = readonly number[];

const columns = (updates: readonly Vector[]): number[][] =>
  updates[0]!.map((_, i) => updates.map((update) => update[i]!).sort((a, b) => a - b));

const mean = (values: Vector): number => values.reduce((a, b) => a + b, 0) / values.length;
const norm = (x: Vector): number => Math.hypot(...x);
const distance = (a: Vector, b: Vector): number => norm(a.map((x, i) => x - b[i]!));

export const medianByDefinition = (updates: readonly Vector[]): number[] =>
  columns(updates).map((column) => {
    const below = column[Math.ceil(column.length / 2) - 1]!;
    const above = column[Math.floor(column.length / 2)]!;
    return (below + above) / 2;
  });

export const trimmedMeanByDefinition = (updates: readonly Vector[], trim: number): number[] =>
  columns(updates).map((column) => {
    const left = [...column];
    for (let k = 0; k < Math.floor(trim * updates.length); k++) {
      left.pop();
      left.shift();
    }
    return mean(left);
  });

export function multiKrumByDefinition(updates: readonly Vector[], byzantine: number): number[] {
  const n = updates.length;
  const score = (k: number): number =>
    updates
      .flatMap((other, j) => (j === k ? [] : [distance(updates[k]!, other) ** 2]))
      .sort((a, b) => a - b)
      .slice(0, n - byzantine - 2)
      .reduce((a, b) => a + b, 0);
  const best = updates.map((update, k) => ({ update, score: score(k) })).sort((a, b) => a.score - b.score);
  const kept = best.slice(0, n - byzantine).map(({ update }) => update);
  return updates[0]!.map((_, i) => mean(kept.map((update) => update[i]!)));
}

/** Σ‖u − z‖, which the geometric median makes smallest. */
export const totalDistance = (updates: readonly Vector[], z: Vector): number =>
  updates.reduce((sum, update) => sum + distance(update, z), 0);

export function normBoundByDefinition(updates: readonly Vector[], weights: Vector, bound: number): number[] {
  const total = weights.reduce((a, b) => a + b, 0);
  const shorter = updates.map((update) => update.map((x) => x * Math.min(1, bound / norm(update))));
  return updates[0]!.map((_, i) => shorter.reduce((sum, update, k) => sum + (weights[k]! / total) * update[i]!, 0));
}
