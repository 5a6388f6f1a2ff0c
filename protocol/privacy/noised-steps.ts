/**
 * The steps of mode `secagg+dp` between a participant's values and the words that are masked, and back from the sum to a mean:
 * clip → side numbers → (mean) → rounding → noise. McMahan et al. 2018 (arXiv 1710.06963), with the clip bit of Andrew et al. 2021
 * (arXiv 1905.03871) and the discrete noise of Kairouz, Liu & Steinke 2021 (arXiv 2102.06387).
 */
import { TacitError } from '../errors.ts';
import { dequantise } from '../fixed-point.ts';
import type { Draft, ReportStep, StepContext } from '../report.ts';
import { wordsOf } from '../sections.ts';
import { normaliseMetrics, restoreMetrics, type Values, valuesOf } from '../weighting.ts';
import { addNoise } from './discrete-gaussian.ts';
import type { NoiseSource } from './noise-source.ts';
import { noiseTermsOf } from './noise-terms.ts';
import { SIDE, WITHIN } from './noised-exchange.ts';
import { roundWithin } from './rounding.ts';

const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);
const has = ({ exchange }: StepContext, name: string): boolean => exchange.sections.some((s) => s.name === name);
const LOSS = 'metrics/loss';

function sourceOf({ source }: StepContext): NoiseSource {
  if (source) return source;
  throw new TacitError('internal', 'a report under differential privacy without a source of noise');
}

function clipped(values: Values, context: StepContext): Values {
  const delta = valuesOf(context.exchange.sections[0]!, values);
  let squares = 0;
  for (let i = 0; i < delta.length; i++) squares += delta[i]! * delta[i]!;
  const norm = Math.sqrt(squares);
  if (!Number.isFinite(norm)) throw new TacitError('report/not-finite', `the update has the norm ${norm}`);
  const within = norm <= context.clipNorm;
  const factor = within ? 1 / context.clipNorm : 1 / norm;
  return {
    ...values,
    delta: Float64Array.from(delta, (x) => x * factor),
    ...(has(context, WITHIN) ? { [WITHIN]: Float64Array.of(within ? SIDE : -SIDE) } : {}),
  };
}

function unclipped(means: Values, context: StepContext): Values {
  const { clipNorm } = context;
  const within = means[WITHIN]?.[0];
  return {
    ...means,
    delta: Float64Array.from(means.delta!, (x) => x * clipNorm),
    ...(within === undefined ? {} : { [WITHIN]: Float64Array.of(clamp((within / SIDE + 1) / 2, 0, 1)) }),
  };
}

function sideways(values: Values, { exchange }: StepContext): Values {
  const [loss] = normaliseMetrics(exchange, values)[LOSS]!;
  if (!Number.isFinite(loss)) throw new TacitError('report/not-finite', `the loss is ${loss}`);
  return { ...values, [LOSS]: Float64Array.of((2 * loss! - 1) * SIDE) };
}

const upright = (means: Values, { exchange }: StepContext): Values =>
  restoreMetrics(exchange, { ...means, [LOSS]: Float64Array.of(clamp((means[LOSS]![0]! / SIDE + 1) / 2, 0, 1)) });

/** By the plan's cohort, not by how many there were: that would make everybody's share depend on everybody's presence. */
function divided(sums: Values, { plan }: StepContext): Values {
  const divide = (values: Float32Array | Float64Array): Float64Array =>
    Float64Array.from(values, (x) => x / plan.rounds.cohort);
  return Object.fromEntries(Object.entries(sums).map(([name, values]) => [name, divide(values)]));
}

function rounded({ values }: Draft, context: StepContext): Draft {
  const { plan, exchange } = context;
  const { scale, longest } = noiseTermsOf(plan, exchange);
  const all = new Float64Array(wordsOf(exchange));
  let at = 0;
  for (const section of exchange.sections) {
    all.set(valuesOf(section, values), at);
    at += section.length;
  }
  return { values, words: roundWithin(all, scale, longest, sourceOf(context)) };
}

function noised({ values, words }: Draft, context: StepContext): Draft {
  const { localSigma } = noiseTermsOf(context.plan, context.exchange);
  const hidden = words.slice();
  addNoise(hidden, localSigma, sourceOf(context));
  return { values, words: hidden };
}

/** Reports cannot be looked at one by one, but their sum can: with honest ones it is no longer than this. */
function checkLength({ words }: Draft, { plan, exchange }: StepContext): void {
  const { longest, localSigma } = noiseTermsOf(plan, exchange);
  const { maxCohort } = plan.rounds;
  let squares = 0;
  for (let i = 0; i < words.length; i++) squares += words[i]! * words[i]!;
  const noise = localSigma * Math.sqrt(maxCohort) * (Math.sqrt(words.length) + 12);
  if (Math.sqrt(squares) <= maxCohort * longest + noise) return;
  throw new TacitError('report/out-of-bounds', 'the sum is longer than clipped reports and their noise can be', {
    hint: 'A participant sent words that are no report. Nobody can tell which.',
  });
}

export const NOISED_STEPS: readonly ReportStep[] = [
  {
    name: 'clip',
    client: (draft, context) => ({ ...draft, values: clipped(draft.values, context) }),
    server: (draft, context) => ({ ...draft, values: unclipped(draft.values, context) }),
  },
  {
    name: 'metrics',
    client: (draft, context) => ({ ...draft, values: sideways(draft.values, context) }),
    server: (draft, context) => ({ ...draft, values: upright(draft.values, context) }),
  },
  {
    name: 'mean',
    client: (draft) => draft,
    server: (draft, context) => ({ ...draft, values: divided(draft.values, context) }),
  },
  {
    name: 'rounding',
    client: rounded,
    server: ({ words }, { plan, exchange }) => ({
      values: dequantise(exchange, words, plan.rounds.maxCohort),
      words,
    }),
  },
  {
    name: 'noise',
    client: noised,
    server: (draft, context) => {
      checkLength(draft, context);
      return draft;
    },
  },
];
