/**
 * The plan's key `privacy`: what the coordinator may read of a report, how reports are bounded, and the rules that go beyond the
 * schema, on cohorts that are too small to hide in and on aggregators that would have to look.
 */
import { z } from 'zod';
import { TacitError } from './errors.ts';

const positiveInt = z.int().min(1);

export const SUITES = ['x25519-aes256gcm', 'nacl-box'] as const;
export type SuiteName = (typeof SUITES)[number];

/** What every mode does to a report before it leaves a participant. */
const clippedAndWeighted = {
  /** L2 norm to which a participant's delta is clipped. */
  clipNorm: z.number().positive().max(1e6),
  /** `examples`: weight min(n, maxExamples) / maxExamples; `uniform`: weight 1. */
  weights: z.enum(['examples', 'uniform']).default('examples'),
  maxExamples: positiveInt.default(1000),
};

/** How updates become one; all but the mean look at each of them, which only the mode `sealed` allows (server/aggregators). */
const aggregatorSchema = z
  .discriminatedUnion('name', [
    z.strictObject({ name: z.literal('mean') }),
    /** `bound` null: the median norm of the round before. */
    z.strictObject({ name: z.literal('norm-bound'), bound: z.number().positive().nullable().default(null) }),
    z.strictObject({ name: z.literal('median') }),
    /** `trim`: the share of values that is dropped at each end of each coordinate. */
    z.strictObject({ name: z.literal('trimmed-mean'), trim: z.number().gt(0).lt(0.5).default(0.2) }),
    /** `byzantine`: how many updates may be wrong; a round then needs 2 · byzantine + 3 reports. */
    z.strictObject({ name: z.literal('multi-krum'), byzantine: positiveInt }),
    z.strictObject({ name: z.literal('geometric-median'), iterations: positiveInt.max(1000).default(50) }),
  ])
  .default({ name: 'mean' });

export const privacySchema = z.discriminatedUnion('mode', [
  z.strictObject({
    mode: z.literal('sealed'),
    ...clippedAndWeighted,
    aggregator: aggregatorSchema,
    /** Sealing suites that the plan admits, best first. */
    suites: z
      .array(z.enum(SUITES))
      .min(1)
      .default([...SUITES]),
  }),
  z.strictObject({
    mode: z.literal('secagg'),
    ...clippedAndWeighted,
    /** Admits rounds of three, of which none may drop out: with so few, one that vanishes fails the attempt. */
    allowNoDropout: z.boolean().default(false),
  }),
  z.strictObject({
    mode: z.literal('secagg+dp'),
    /** L2 norm to which a participant's delta is clipped; of the first round, if it adapts. */
    clipNorm: z.number().positive().max(1e6),
    /** Moves the norm after each round towards this quantile of the deltas' norms, by a bit of each participant that is noised too. */
    adaptiveClipping: z
      .strictObject({ quantile: z.number().gt(0).lt(1).default(0.5), rate: z.number().positive().max(1).default(0.2) })
      .nullable()
      .default(null),
    /** Standard deviation of the noise of a sum, in units of the longest report. */
    noiseMultiplier: z.number().min(0.05).max(1e6),
    /** Budget of one participant over the whole run: no sum is opened that would pass ε at δ. */
    epsilon: z.number().positive().max(1000),
    delta: z.number().min(1e-100).lt(1),
    /** Whether a third of a round's participants may work with the coordinator: their noise then counts for nothing. */
    collusion: z.boolean().default(true),
    weights: z.literal('uniform').default('uniform'),
    allowNoDropout: z.boolean().default(false),
  }),
]);

export type Privacy = z.infer<typeof privacySchema>;

/** The part of a plan that these rules are about. */
interface Private {
  readonly privacy: Privacy;
}

/** The keys of a plan under differential privacy. */
export type NoisedPrivacy = Extract<Privacy, { mode: 'secagg+dp' }>;

/** The sealing suites that the plan admits: none where reports are masked instead. */
export const suitesOf = ({ privacy }: Private): readonly SuiteName[] =>
  privacy.mode === 'sealed' ? privacy.suites : [];

/** What an upload under masks names in the place of a sealing suite. */
export const MASKED = 'masked';

/** What an upload may name as its suite under the plan. */
export const uploadSuitesOf = ({ privacy }: Private): readonly string[] =>
  privacy.mode === 'sealed' ? privacy.suites : [MASKED];

/** The fewest participants whose reports may be summed under masks, whatever a plan or a policy says: a sum of two gives each the other's. */
export const LEAST_SECURE_COHORT = 3;

/** @throws TacitError plan/refused when the cohort is too small for what the privacy mode promises */
export function checkCohort({ privacy, rounds }: Private & { readonly rounds: { readonly minReports: number } }): void {
  if (privacy.mode === 'sealed') return;
  const refuse = (text: string, hint: string): never => {
    throw new TacitError('plan/refused', text, { where: 'rounds.minReports', hint });
  };
  if (rounds.minReports < LEAST_SECURE_COHORT) {
    refuse(
      `rounds.minReports is ${rounds.minReports}: a sum of fewer than ${LEAST_SECURE_COHORT} reports hides nothing`,
      `Set rounds.cohort and rounds.minReports to ${LEAST_SECURE_COHORT + 1} or more, or privacy.mode to sealed if the coordinator may read each report.`,
    );
  }
  if (rounds.minReports === LEAST_SECURE_COHORT && !privacy.allowNoDropout) {
    refuse(
      `rounds.minReports is ${rounds.minReports}: of three participants under masks none may drop out`,
      'Set rounds.minReports to 4 or more, or privacy.allowNoDropout to true if attempts may fail for that.',
    );
  }
}

/** @throws TacitError plan/refused, more to the point than that there is no such key, when masks and an aggregator are both asked for */
export function checkAggregator(value: unknown): void {
  const { privacy } = (value ?? {}) as {
    readonly privacy?: { readonly mode?: unknown; readonly aggregator?: unknown };
  };
  if (!privacy?.aggregator || typeof privacy.mode !== 'string' || !privacy.mode.startsWith('secagg')) return;
  throw new TacitError(
    'plan/refused',
    `privacy.aggregator: a robust aggregator looks at updates one by one, and under ${privacy.mode} nobody can`,
    {
      where: 'privacy.aggregator',
      hint: 'Use privacy.mode sealed, in which the coordinator can open each report, or leave the aggregator out.',
    },
  );
}

/** Fewest reports of a masked sum where the plan says nothing, as in the participants' own default policy. */
const DEFAULT_SECURE_COHORT = 5;

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Under masks the default of `rounds.minReports` is half of the cohort too, but not below five, if there are as many. */
export function withFewestReports(value: unknown): unknown {
  if (!isObject(value) || !isObject(value.rounds) || !isObject(value.privacy)) return value;
  const { cohort, minReports } = value.rounds;
  const { mode } = value.privacy;
  const masked = mode === 'secagg' || mode === 'secagg+dp';
  if (!masked || minReports !== undefined || typeof cohort !== 'number') return value;
  const fewest = Math.max(Math.ceil(cohort / 2), Math.min(cohort, DEFAULT_SECURE_COHORT));
  return { ...value, rounds: { ...value.rounds, minReports: fewest } };
}
