/**
 * The plan: everything that a federated run does, as data. Declarative only; nothing in it is code.
 * A coordinator completes it with defaults, signs the hash of its bytes and sends those bytes; a participant hashes what it
 * received and never serialises a plan again. Encoder and pretext options are checked by the schema of the one that is named
 * (learning/registry.ts); here they are objects with a name.
 */
import { z } from 'zod';
import { IDENTIFIER } from './ids.ts';
import { planError } from './plan-error.ts';
import { checkAggregator, checkCohort, privacySchema, withFewestReports } from './plan-privacy.ts';

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

/**
 * Checks an object against the plan's schema and fills in the defaults.
 * @throws TacitError plan/invalid, plan/unknown-name, plan/refused
 */
export function parsePlan(value: unknown): Plan {
  checkAggregator(value);
  const given = withFewestReports(value);
  const parsed = planSchema.safeParse(given);
  if (!parsed.success) throw planError(parsed.error, given);
  checkCohort(parsed.data);
  return parsed.data;
}
