/** Multinomial logistic regression the slow way: gradient descent on the definition, for comparison only. */

export interface Reference {
  readonly weights: number[][];
  readonly bias: number[];
  readonly loss: number;
}

const softmax = (scores: readonly number[]): number[] => {
  const most = Math.max(...scores);
  const e = scores.map((s) => Math.exp(s - most));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
};

/** Rows standardised by their own mean and population deviation. */
export function standardised(rows: readonly (readonly number[])[]): number[][] {
  const columns = rows[0]!.length;
  const out = rows.map((row) => [...row]);
  for (let j = 0; j < columns; j++) {
    const mean = rows.reduce((s, r) => s + r[j]!, 0) / rows.length;
    const sd = Math.sqrt(rows.reduce((s, r) => s + (r[j]! - mean) ** 2, 0) / rows.length);
    for (const row of out) row[j] = (row[j]! - mean) / sd;
  }
  return out;
}

/** Mean cross-entropy + penalty/2 ‖W‖² at given parameters. */
export function objective(
  x: readonly (readonly number[])[],
  labels: readonly number[],
  weights: readonly (readonly number[])[],
  bias: readonly number[],
  penalty: number,
): number {
  const scoresOf = (row: readonly number[]): number[] =>
    weights.map((w, c) => bias[c]! + w.reduce((s, v, j) => s + v * row[j]!, 0));
  const entropy = x.reduce((s, row, i) => s - Math.log(softmax(scoresOf(row))[labels[i]!]!), 0) / x.length;
  return entropy + (penalty / 2) * weights.flat().reduce((s, w) => s + w * w, 0);
}

/** Gradient descent with a fixed step on standardised rows. */
export function gradientDescent(
  x: readonly (readonly number[])[],
  labels: readonly number[],
  classes: number,
  penalty: number,
  { steps, rate }: { steps: number; rate: number },
): Reference {
  const columns = x[0]!.length;
  const weights = Array.from({ length: classes }, () => new Array<number>(columns).fill(0));
  const bias = new Array<number>(classes).fill(0);
  for (let step = 0; step < steps; step++) {
    const gw = weights.map((w) => w.map((v) => penalty * v));
    const gb = bias.map(() => 0);
    x.forEach((row, i) => {
      const p = softmax(weights.map((w, c) => bias[c]! + w.reduce((s, v, j) => s + v * row[j]!, 0)));
      p.forEach((value, c) => {
        const residual = (value - (labels[i] === c ? 1 : 0)) / x.length;
        gb[c]! += residual;
        row.forEach((v, j) => {
          gw[c]![j]! += residual * v;
        });
      });
    });
    weights.forEach((w, c) => {
      w.forEach((_, j) => {
        w[j]! -= rate * gw[c]![j]!;
      });
      bias[c]! -= rate * gb[c]!;
    });
  }
  return { weights, bias, loss: objective(x, labels, weights, bias, penalty) };
}
