/**
 * From a participant's values to the words of its report, and from the sum of reports back to means (SPEC.md §8): one ordered
 * list of steps, each with a participant's half and a coordinator's half; the second halves run in reverse order.
 */
import { dequantise, quantise } from './fixed-point.ts';
import type { Plan } from './plan.ts';
import { type NoiseSource, noiseSource, type RandomBytes } from './privacy/noise-source.ts';
import { NOISED_STEPS } from './privacy/noised-steps.ts';
import type { Exchange } from './sections.ts';
import {
  normaliseMetrics,
  removeWeight,
  restoreMetrics,
  type Values,
  valuesOf,
  WEIGHT,
  weightOf,
  withWeight,
} from './weighting.ts';

/** What a step needs to know: nothing here comes from the other side, all of it from the plan. */
export interface StepContext {
  readonly plan: Plan;
  readonly exchange: Exchange;
  /** Of the participant whose report is built; 1 while a sum is opened. */
  readonly weight: number;
  /** L2 norm to which deltas are clipped: the plan's, or where it adapts what the round started with. */
  readonly clipNorm: number;
  /** Of the participant whose report is built under differential privacy. */
  readonly source?: NoiseSource;
}

/** Values until the fixed-point step, words after it. */
export interface Draft {
  readonly values: Values;
  readonly words: Int32Array;
}

export interface ReportStep {
  readonly name: string;
  client(draft: Draft, context: StepContext): Draft;
  server(sum: Draft, context: StepContext): Draft;
}

const onValues = (
  name: string,
  client: (values: Values, context: StepContext) => Values,
  server: (values: Values, context: StepContext) => Values,
): ReportStep => ({
  name,
  client: (draft, context) => ({ ...draft, values: client(draft.values, context) }),
  server: (draft, context) => ({ ...draft, values: server(draft.values, context) }),
});

// Plain loops: these vectors have millions of values, and typed arrays' own iteration is much slower.
function addSquares(sum: number, values: Float32Array | Float64Array): number {
  let squares = sum;
  for (let i = 0; i < values.length; i++) squares += values[i]! * values[i]!;
  return squares;
}

function scaled(values: Float32Array | Float64Array, factor: number): Float64Array {
  const product = new Float64Array(values);
  for (let i = 0; i < product.length; i++) product[i] = product[i]! * factor;
  return product;
}

/** Scales the sections of each clip group together so that their L2 norm is at most their bound. */
export function clip(exchange: Exchange, values: Values): Values {
  const clipped: Record<string, Float32Array | Float64Array> = { ...values };
  const groups = new Set(exchange.sections.map(({ clipGroup }) => clipGroup).filter((group) => group !== null));
  for (const group of groups) {
    const members = exchange.sections.filter(({ clipGroup }) => clipGroup === group);
    let squares = 0;
    for (const section of members) squares = addSquares(squares, valuesOf(section, values));
    const norm = Math.sqrt(squares);
    const bound = Math.max(...members.map((section) => section.bound));
    if (!(norm > bound)) continue;
    const factor = bound / norm;
    for (const section of members) clipped[section.name] = scaled(valuesOf(section, values), factor);
  }
  return clipped;
}

const unchanged = (values: Values): Values => values;

/** The steps of modes without noise, in the participant's order. */
export const REPORT_STEPS: readonly ReportStep[] = [
  onValues('clip', (values, { exchange }) => clip(exchange, values), unchanged),
  onValues(
    'metrics',
    (values, { exchange }) => normaliseMetrics(exchange, values),
    (values, { exchange }) => restoreMetrics(exchange, values),
  ),
  onValues(
    'weight',
    (values, { weight }) => withWeight(values, weight),
    (values, { exchange }) => removeWeight(exchange, values),
  ),
  {
    name: 'fixed-point',
    client: ({ values }, { plan, exchange, weight }) => ({
      values,
      words: quantise(exchange, values, weight, plan.rounds.maxCohort),
    }),
    server: ({ words }, { plan, exchange }) => ({ values: dequantise(exchange, words, plan.rounds.maxCohort), words }),
  },
];

/** The steps of a plan, in the participant's order. */
export const stepsOf = ({ privacy }: Plan): readonly ReportStep[] =>
  privacy.mode === 'secagg+dp' ? NOISED_STEPS : REPORT_STEPS;

const NO_WORDS = new Int32Array(0);

/** What a report under differential privacy takes besides values. */
export interface NoiseInputs {
  /** The operating system's randomness. */
  readonly crypto: RandomBytes;
  /** Where the clipping norm adapts: the one of this round. */
  readonly clipNorm?: number;
}

/**
 * The report of a participant with so many examples: `values` holds every section but `weight`.
 * @param noise needed under differential privacy; without it such a plan is refused
 * @throws TacitError report/not-finite if training gave NaN or an infinity, report/malformed if a section is missing
 */
export function buildReport(
  plan: Plan,
  exchange: Exchange,
  values: Values,
  examples: number,
  noise?: NoiseInputs,
): Int32Array {
  const weight = weightOf(plan, examples);
  const source = noise && noiseSource(noise.crypto);
  const clipNorm = noise?.clipNorm ?? plan.privacy.clipNorm;
  const context = { plan, exchange, weight, clipNorm, ...(source ? { source } : {}) };
  const start: Draft = { values: { ...values, [WEIGHT]: Float64Array.of(weight) }, words: NO_WORDS };
  const { words } = stepsOf(plan).reduce((draft, step) => step.client(draft, context), start);
  source?.wipe();
  return words;
}

/** What a sum of reports says. */
export interface OpenedSum {
  /** Means of the weighted sections and sums of the others, by name; without the weight and the metrics. */
  readonly sections: Readonly<Record<string, Float32Array>>;
  /** Σ w̃; the plan's cohort where that is the fixed denominator. */
  readonly weight: number;
  /** Weighted means of the metrics, without the prefix `metrics/`. */
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Means of the sum of reports.
 * @param clipNorm where the clipping norm adapts: the one of this round
 * @throws TacitError report/malformed, report/out-of-bounds
 */
export function openSum(plan: Plan, exchange: Exchange, sum: Int32Array, clipNorm = plan.privacy.clipNorm): OpenedSum {
  const context = { plan, exchange, weight: 1, clipNorm };
  const start: Draft = { values: {}, words: sum };
  const { values } = stepsOf(plan).reduceRight((draft, step) => step.server(draft, context), start);
  const sections: Record<string, Float32Array> = {};
  const metrics: Record<string, number> = {};
  for (const { name } of exchange.sections) {
    if (name.startsWith('metrics/')) metrics[name.slice('metrics/'.length)] = values[name]![0]!;
    else if (name !== WEIGHT) sections[name] = new Float32Array(values[name]!);
  }
  return { sections, weight: values[WEIGHT]?.[0] ?? plan.rounds.cohort, metrics };
}
