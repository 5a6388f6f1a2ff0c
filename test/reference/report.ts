/**
 * Naive reference of reports: exact integers of unlimited size, plain floats, one coordinate at a time, nothing shared with the
 * implementation.
 */

/** ⌊(2³¹ − 1 − n) / (n·R)⌋ for a bound that is a ratio of integers. */
export const exactScale = (n: bigint, numerator: bigint, denominator: bigint): bigint =>
  ((2n ** 31n - 1n - n) * denominator) / (n * numerator);

/** Round half to even, by cases. */
export function roundHalfEvenByCases(x: number): number {
  const below = Math.floor(x);
  const fraction = x - below;
  if (fraction < 0.5) return below;
  if (fraction > 0.5) return below + 1;
  return below % 2 === 0 ? below : below + 1;
}

export interface Participant {
  readonly delta: readonly number[];
  readonly loss: number;
  readonly examples: number;
}

export interface Means {
  readonly delta: readonly number[];
  readonly loss: number;
  readonly weight: number;
}

const norm = (x: readonly number[]): number => Math.sqrt(x.reduce((sum, value) => sum + value ** 2, 0));

/** The weighted mean of clipped deltas and clamped losses, in floats, without any quantisation. */
export function weightedMeans(
  participants: readonly Participant[],
  settings: { readonly clipNorm: number; readonly maxExamples: number; readonly range: readonly [number, number] },
): Means {
  const weights = participants.map(({ examples }) => Math.min(examples, settings.maxExamples) / settings.maxExamples);
  const total = weights.reduce((a, b) => a + b, 0);
  const mean = (values: readonly number[]) => values.reduce((sum, v, i) => sum + v * weights[i]!, 0) / total;
  const clipped = participants.map(({ delta }) => {
    const factor = Math.min(1, settings.clipNorm / norm(delta));
    return delta.map((value) => (norm(delta) === 0 ? 0 : value * factor));
  });
  const [low, high] = settings.range;
  return {
    delta: clipped[0]!.map((_, i) => mean(clipped.map((delta) => delta[i]!))),
    loss: mean(participants.map(({ loss }) => Math.min(high, Math.max(low, loss)))),
    weight: total,
  };
}
