/**
 * Two of the steps between a participant's values and its report (SPEC.md §8.2): metrics mapped to [0, 1], and the weight by which
 * weighted sections are multiplied before they are summed. Both are undone on sums.
 */
import { TacitError } from './errors.ts';
import type { Plan } from './plan.ts';
import type { Exchange, Section } from './sections.ts';

/** Values by the names of sections. */
export type Values = Readonly<Record<string, Float32Array | Float64Array>>;
export type DoubleValues = Readonly<Record<string, Float64Array>>;

export const WEIGHT = 'weight';

/** w̃ ∈ (0, 1]: min(examples, maxExamples) / maxExamples, or 1 when the plan's weights are uniform. */
export function weightOf(plan: Plan, examples: number): number {
  if (!Number.isSafeInteger(examples) || examples < 1) throw new RangeError(`${examples} examples have no weight`);
  if (plan.privacy.weights === 'uniform') return 1;
  return Math.min(examples, plan.privacy.maxExamples) / plan.privacy.maxExamples;
}

/** The values of a section, of its length. @throws TacitError report/malformed */
export function valuesOf(section: Section, values: Values): Float32Array | Float64Array {
  const found = Object.hasOwn(values, section.name) ? values[section.name] : undefined;
  if (found?.length === section.length) return found;
  throw new TacitError('report/malformed', `section ${section.name} has ${found?.length ?? 'no'} values`, {
    where: section.name,
  });
}

type Numbers = Float32Array | Float64Array;

/** Puts what `f` gives for a section in the place of its values; where it gives nothing they are carried over, not copied. */
function mapSections(
  exchange: Exchange,
  values: Values,
  f: (section: Section, own: Numbers) => Float64Array | undefined,
): Values {
  return Object.fromEntries(
    exchange.sections.map((section) => {
      const own = valuesOf(section, values);
      return [section.name, f(section, own) ?? own];
    }),
  );
}

// A loop of its own: sections are long, and a function that is called for each of their values takes five times as long.
function over(values: Numbers, divisor: number): Float64Array {
  const quotients = new Float64Array(values.length);
  for (let i = 0; i < quotients.length; i++) quotients[i] = values[i]! / divisor;
  return quotients;
}

const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** Metrics to [0, 1]: (x − low) / (high − low), clamped. NaN stays NaN. */
export const normaliseMetrics = (exchange: Exchange, values: Values): Values =>
  mapSections(
    exchange,
    values,
    ({ range }, own) =>
      range && Float64Array.from(own, (x: number) => clamp((x - range[0]) / (range[1] - range[0]), 0, 1)),
  );

/** Means of metrics back to their range. */
export const restoreMetrics = (exchange: Exchange, means: Values): Values =>
  mapSections(
    exchange,
    means,
    ({ range }, own) => range && Float64Array.from(own, (x: number) => range[0] + x * (range[1] - range[0])),
  );

/** With the section `weight`. What is weighted is multiplied by it while it is rounded. @throws TacitError report/out-of-bounds outside (0, 1] */
export function withWeight(values: Values, weight: number): Values {
  if (!(weight > 0 && weight <= 1)) throw new TacitError('report/out-of-bounds', `a weight of ${weight}`);
  return { ...values, [WEIGHT]: Float64Array.of(weight) };
}

/** Weighted sums divided by the sum of weights; plain sums as they are. @throws TacitError report/out-of-bounds if that sum is not positive */
export function removeWeight(exchange: Exchange, sums: Values): Values {
  const total = sums[WEIGHT]?.[0] ?? 0;
  if (!(total > 0)) throw new TacitError('report/out-of-bounds', `the weights add up to ${total}`);
  return mapSections(exchange, sums, ({ reduce }, own) => (reduce === 'weightedSum' ? over(own, total) : undefined));
}
