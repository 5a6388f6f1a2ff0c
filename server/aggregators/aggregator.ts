/**
 * An aggregator makes one update of many, and is not led astray by a few that are wrong or hostile: two pure functions over plain
 * serialisable state, like a strategy. It looks at updates one by one, which only the mode `sealed` allows.
 */
import type { Plan } from '../../protocol/plan.ts';
import type { NamedArrays } from '../../protocol/tensors.ts';

type Sealed = Extract<Plan['privacy'], { mode: 'sealed' }>;
export type AggregatorSpec = Sealed['aggregator'];
export type SpecOf<Name extends AggregatorSpec['name']> = Extract<AggregatorSpec, { name: Name }>;

export interface AggregatorInputs<Spec> {
  readonly spec: Spec;
  /** The updates of a round, all of one length. */
  readonly updates: readonly Float32Array[];
  /** w̃ of each. */
  readonly weights: readonly number[];
  /** Lets other work of the process have its turn; to be awaited every few million operations. */
  readonly breathe: () => Promise<void>;
}

export interface AggregatorOutputs {
  readonly state: NamedArrays;
  readonly aggregate: Float32Array<ArrayBuffer>;
}

export interface Aggregator<Spec> {
  readonly paper: string;
  init(spec: Spec): NamedArrays;
  apply(state: NamedArrays, inputs: AggregatorInputs<Spec>): Promise<AggregatorOutputs>;
}

/** Operations between two breaths. */
export const BREATH = 2 ** 22;

/** Applies `rule` to the values of each coordinate, sorted. */
export async function byCoordinate(
  { updates, breathe }: Pick<AggregatorInputs<unknown>, 'updates' | 'breathe'>,
  rule: (sorted: Float32Array) => number,
): Promise<Float32Array<ArrayBuffer>> {
  const dimension = updates[0]!.length;
  const aggregate = new Float32Array(dimension);
  const column = new Float32Array(updates.length);
  const every = Math.max(1, Math.floor(BREATH / (8 * updates.length)));
  for (let i = 0; i < dimension; i++) {
    for (let k = 0; k < column.length; k++) column[k] = updates[k]![i]!;
    aggregate[i] = rule(column.sort());
    if (i % every === every - 1) await breathe();
  }
  return aggregate;
}

/** Σ wₖ·uₖ / Σ wₖ. */
export async function weightedMean(
  { updates, breathe }: Pick<AggregatorInputs<unknown>, 'updates' | 'breathe'>,
  weights: readonly number[],
): Promise<Float32Array<ArrayBuffer>> {
  const sum = new Float64Array(updates[0]!.length);
  const total = weights.reduce((a, b) => a + b, 0);
  for (const [k, update] of updates.entries()) {
    const share = weights[k]! / total;
    for (let i = 0; i < sum.length; i++) sum[i]! += share * update[i]!;
    await breathe();
  }
  return new Float32Array(sum);
}

/** ‖a − b‖²; of a alone without b. */
export function squaredDistance(a: Float32Array, b?: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = b ? a[i]! - b[i]! : a[i]!;
    squares += difference * difference;
  }
  return squares;
}

/** The middle of sorted values, or the mean of the two. */
export function middleOf(sorted: ArrayLike<number>): number {
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
