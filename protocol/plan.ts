/**
 * The plan: everything that a federated run does, as data. Declarative only; nothing in it is code.
 * A coordinator completes it with defaults, signs the hash of its bytes and sends those bytes; a participant hashes what it
 * received and never serialises a plan again. Encoder and pretext options are checked by the schema of the one that is named
 * (learning/registry.ts); here they are objects with a name.
 */
import { z } from 'zod';
import { TacitError } from './errors.ts';
import { IDENTIFIER } from './ids.ts';

const positiveInt = z.int().min(1);
const durationMs = z
  .int()
  .min(1)
  .max(2 ** 31 - 1);
const identifier = z.string().regex(IDENTIFIER, 'must be 1–64 characters of A–Z a–z 0–9 . _ : -');

/** An object that carries the name of a registered thing and that thing's own options. */
const named = z.looseObject({ name: identifier });

const dataSchema = z.strictObject({
  modality: z.literal('image').default('image'),
  /** Height, width, channels (1 grey, 3 RGB) of what the encoder sees. */
  shape: z.tuple([positiveInt.max(4096), positiveInt.max(4096), z.union([z.literal(1), z.literal(3)])]),
  /** What to do with an image of another size: refuse it, fill the frame and crop, or fit into the frame and pad with zeros. */
  resize: z.enum(['error', 'cover', 'contain']).default('error'),
  /** Applied to values in [0, 1] (the file's full range), per channel or for all: (x − mean) / std. */
  normalisation: z
    .strictObject({ mean: z.array(z.number()).min(1).max(3), std: z.array(z.number().positive()).min(1).max(3) })
    .default({ mean: [0], std: [1] }),
  /** A participant with fewer answers `data/too-few-examples`. */
  minExamples: positiveInt.default(2),
});

const adam = z.strictObject({
  name: z.literal('adam'),
  learningRate: z.number().positive(),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.999),
  epsilon: z.number().positive().default(1e-8),
  weightDecay: z.number().min(0).default(0),
});
const sgd = z.strictObject({
  name: z.literal('sgd'),
  learningRate: z.number().positive(),
  momentum: z.number().min(0).lt(1).default(0.9),
  weightDecay: z.number().min(0).default(0),
});
export const optimiserSchema = z.discriminatedUnion('name', [adam, sgd]);
export type OptimiserSpec = z.infer<typeof optimiserSchema>;

const trainingSchema = z.strictObject({
  /** Local steps per round; each sees exactly `batch` images. */
  steps: positiveInt.max(100_000),
  batch: z.int().min(2).max(65_536),
  optimiser: optimiserSchema,
  /** Learning rate over the rounds; constant within a round. `cosine` falls to 0 after the last round. */
  schedule: z
    .strictObject({ name: z.enum(['constant', 'cosine']), warmupRounds: z.int().min(0).default(0) })
    .default({ name: 'cosine', warmupRounds: 0 }),
  /** Whether a participant keeps its optimiser's moments from one of its rounds to the next. */
  optimiserState: z.enum(['reset', 'keep']).default('reset'),
  /** L2 norm to which the gradient of one step is clipped; null: not clipped. */
  clipGradient: z.number().positive().nullable().default(null),
});

const roundsSchema = z
  .strictObject({
    count: positiveInt.max(1_000_000),
    /** Participants wanted in a round. */
    cohort: positiveInt.max(100_000),
    /** The most that a round may hold, over-selection included; the fixed-point scale is computed from it. */
    maxCohort: positiveInt.max(100_000).optional(),
    /** How many more than the cohort are asked, since some will vanish. */
    overSelection: z.number().min(1).max(4).default(1.3),
    /** The fewest reports with which a round is committed. */
    minReports: positiveInt.optional(),
    /** Whether a round waits for every accepted participant (until the deadline) or commits once `cohort` reports are in. */
    waitForAll: z.boolean().default(false),
    recruitMs: durationMs.default(60_000),
    trainMs: durationMs.default(600_000),
    /** Attempts at one round before the run fails. */
    maxAttempts: positiveInt.max(1000).default(5),
    maxContributionsPerModel: positiveInt.default(2),
  })
  .refine((r) => (r.maxCohort ?? Math.ceil(r.cohort * r.overSelection)) >= r.cohort, {
    path: ['maxCohort'],
    message: 'must be at least the cohort',
  })
  .refine((r) => (r.minReports ?? 1) <= r.cohort, { path: ['minReports'], message: 'must not exceed the cohort' })
  // the same order of keys whether they were given or not, so that completing a complete plan changes no byte
  .transform(({ maxCohort, minReports, ...r }) => ({
    ...r,
    maxCohort: maxCohort ?? Math.ceil(r.cohort * r.overSelection),
    minReports: minReports ?? Math.max(1, Math.ceil(r.cohort / 2)),
  }));

const strategySchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('fedavg'), serverLearningRate: z.number().positive().default(1) }),
  z.strictObject({
    name: z.literal('shared-statistics'),
    /** `exact`: a round is one step of `training.optimiser` on everybody's batches; `local`: `training.steps` local steps first. */
    mode: z.enum(['exact', 'local']).default('exact'),
  }),
]);

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

const privacySchema = z.discriminatedUnion('mode', [
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

const admissionSchema = z
  .strictObject({
    /** Whether a participant must show a certificate signed by the operator's key. */
    certificates: z.enum(['none', 'required']).default('none'),
    /** The operator's Ed25519 public key, base64url. */
    operatorKey: z.string().optional(),
  })
  .default({ certificates: 'none' });

const evaluationSchema = z
  .strictObject({
    labelsPerClass: z.array(positiveInt).min(1).default([1, 2, 5, 10]),
    draws: positiveInt.max(1000).default(10),
    /** L2 penalties among which the probe chooses on the validation split. */
    probePenalties: z.array(z.number().positive()).min(1).default([1e-4, 1e-3, 1e-2, 1e-1]),
    knn: z
      .strictObject({ neighbours: positiveInt.default(20), temperature: z.number().positive().default(0.1) })
      .default({ neighbours: 20, temperature: 0.1 }),
  })
  .prefault({});

const fineTuningSchema = z
  .strictObject({
    /** `lp-ft`: the head from a linear probe, then all weights; `full`: all from a zero head; `head`: the head only. */
    method: z.enum(['lp-ft', 'full', 'head']).default('lp-ft'),
    steps: positiveInt.default(100),
    batch: positiveInt.default(64),
    optimiser: optimiserSchema.default({
      name: 'adam',
      learningRate: 1e-4,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0,
    }),
  })
  .prefault({});

export const planSchema = z.strictObject({
  version: z.literal(1),
  /** The task's name; participants' state and the run folder carry it. */
  task: identifier,
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(0),
  data: dataSchema,
  encoder: named,
  /**
   * Absent: the run starts from random weights, drawn from the seed. Otherwise the SHA-256 (hex) of the model that the first
   * round starts from. The file that it was made of is named in the plan's file only (learning/initial-weights.ts).
   */
  initialWeights: z.strictObject({ modelHash: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits') }).optional(),
  pretext: named,
  /** Views of an image for the tasks that need them (learning/augmentation). */
  augmentation: named,
  training: trainingSchema,
  rounds: roundsSchema,
  strategy: strategySchema.default({ name: 'fedavg', serverLearningRate: 1 }),
  privacy: privacySchema,
  admission: admissionSchema,
  evaluation: evaluationSchema,
  fineTuning: fineTuningSchema,
});

/** A plan whose own keys are complete; encoder and pretext options may still lack their defaults (see `completePlan`). */
export type Plan = z.infer<typeof planSchema>;

const describeIssue = (issue: z.core.$ZodIssue): { where: string; text: string } => {
  const where = issue.path.map(String).join('.') || '(top level)';
  if (issue.code === 'unrecognized_keys') {
    const key = [...issue.path, issue.keys[0] ?? ''].map(String).join('.');
    return { where: key, text: `there is no such key` };
  }
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) {
    return { where, text: `is missing: ${issue.expected} expected` };
  }
  const known = issue.code === 'invalid_union' ? /Expected (.+)$/.exec(issue.message)?.[1] : undefined;
  if (known !== undefined) return { where, text: `is not one of ${known.replaceAll("'", '').replaceAll(' | ', ', ')}` };
  return { where, text: issue.message };
};

/** Turns the first issues of a failed parse into a coded error that names each key by its path. */
export function planError(error: z.ZodError, prefix = ''): TacitError {
  const issues = error.issues.map(describeIssue);
  const lines = issues.slice(0, 8).map(({ where, text }) => `${prefix}${where}: ${text}`);
  const unknownName = error.issues.some((i) => i.code === 'invalid_union' && 'discriminator' in i);
  return new TacitError(unknownName ? 'plan/unknown-name' : 'plan/invalid', lines.join('\n'), {
    where: `${prefix}${issues[0]?.where ?? ''}`,
    hint: 'See "The plan" in README.md, or run `tacit plan check FILE`.',
  });
}

/** The keys of a plan under differential privacy. */
export type NoisedPrivacy = Extract<Plan['privacy'], { mode: 'secagg+dp' }>;

/** The sealing suites that the plan admits: none where reports are masked instead. */
export const suitesOf = ({ privacy }: Plan): readonly SuiteName[] => (privacy.mode === 'sealed' ? privacy.suites : []);

/** What an upload under masks names in the place of a sealing suite. */
export const MASKED = 'masked';

/** What an upload may name as its suite under the plan. */
export const uploadSuitesOf = (plan: Plan): readonly string[] =>
  plan.privacy.mode === 'sealed' ? plan.privacy.suites : [MASKED];

/** The fewest participants whose reports may be summed under masks, whatever a plan or a policy says: a sum of two gives each the other's. */
export const LEAST_SECURE_COHORT = 3;

/** @throws TacitError plan/refused when the cohort is too small for what the privacy mode promises */
function checkCohort({ privacy, rounds }: Plan): void {
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
function checkAggregator(value: unknown): void {
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
function withFewestReports(value: unknown): unknown {
  if (!isObject(value) || !isObject(value.rounds) || !isObject(value.privacy)) return value;
  const { cohort, minReports } = value.rounds;
  const { mode } = value.privacy;
  const masked = mode === 'secagg' || mode === 'secagg+dp';
  if (!masked || minReports !== undefined || typeof cohort !== 'number') return value;
  const fewest = Math.max(Math.ceil(cohort / 2), Math.min(cohort, DEFAULT_SECURE_COHORT));
  return { ...value, rounds: { ...value.rounds, minReports: fewest } };
}

/**
 * Checks an object against the plan's schema and fills in the defaults.
 * @throws TacitError plan/invalid, plan/unknown-name, plan/refused
 */
export function parsePlan(value: unknown): Plan {
  checkAggregator(value);
  const parsed = planSchema.safeParse(withFewestReports(value));
  if (!parsed.success) throw planError(parsed.error);
  checkCohort(parsed.data);
  return parsed.data;
}
