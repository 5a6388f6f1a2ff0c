/**
 * Weighted k-nearest-neighbour classification (Wu et al. 2018): cosine similarity, each neighbour votes for its class with
 * weight exp(similarity / temperature). Features are those of the frozen encoder, without projector.
 */
import { blockedProduct } from './blocked-product.ts';
import { type Features, type LabelledFeatures, normaliseRows } from './features.ts';

export interface KnnOptions {
  readonly classes: number;
  /** Neighbours that vote; all rows of the bank if it has fewer. */
  readonly neighbours: number;
  readonly temperature: number;
}

/** Keeps the `k` largest values seen, largest first; of equal ones those that came first. */
class Nearest {
  readonly values: Float64Array;
  readonly rows: Int32Array;
  size = 0;

  constructor(k: number) {
    this.values = new Float64Array(k);
    this.rows = new Int32Array(k);
  }

  offer(value: number, row: number): void {
    const { values, rows } = this;
    if (this.size === values.length && !(value > values[this.size - 1]!)) return;
    if (this.size < values.length) this.size++;
    let at = this.size - 1;
    for (; at > 0 && values[at - 1]! < value; at--) {
      values[at] = values[at - 1]!;
      rows[at] = rows[at - 1]!;
    }
    values[at] = value;
    rows[at] = row;
  }
}

/** Queries whose similarities are computed at a time. */
const TOGETHER = 256;

/** Class of each query row by the vote of its nearest rows in `bank`; the smaller index where votes are equal. */
export function knn(bank: LabelledFeatures, queries: Features, options: KnnOptions): Int32Array {
  const { columns, rows } = bank.features;
  if (queries.columns !== columns)
    throw new RangeError(`knn: ${queries.columns} columns where the bank has ${columns}`);
  if (rows === 0) throw new RangeError('knn: the bank is empty');
  const held = normaliseRows(bank.features).data;
  const asked = normaliseRows(queries).data;
  const predicted = new Int32Array(queries.rows);
  for (let from = 0; from < queries.rows; from += TOGETHER) {
    const some = asked.subarray(from * columns, (from + TOGETHER) * columns);
    const count = some.length / columns;
    const similarities = new Float64Array(count * rows);
    blockedProduct(some, held, columns, similarities);
    for (let i = 0; i < count; i++) {
      const nearest = new Nearest(Math.min(options.neighbours, rows));
      for (let r = 0; r < rows; r++) nearest.offer(similarities[i * rows + r]!, r);
      predicted[from + i] = vote(nearest, bank.labels, options);
    }
  }
  return predicted;
}

function vote(nearest: Nearest, labels: Int32Array, { classes, temperature }: KnnOptions): number {
  const votes = new Float64Array(classes);
  const most = nearest.values[0]!; // subtracted from every similarity, so that a small temperature does not overflow
  for (let k = 0; k < nearest.size; k++) {
    votes[labels[nearest.rows[k]!]!]! += Math.exp((nearest.values[k]! - most) / temperature);
  }
  return votes.indexOf(Math.max(...votes));
}
