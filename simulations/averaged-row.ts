/**
 * The row `fedavg`: the same participants, images, task and encoder, and as many samples seen, but each trains by itself between two
 * averagings of weights. What strategy `shared-statistics` is compared with.
 */
import { completePlan } from '../learning/registry.ts';
import type { Plan } from '../protocol/plan.ts';
import { decodeSafetensors } from '../protocol/safetensors.ts';
import type { NamedArrays } from '../protocol/tensors.ts';
import { runFederation } from './federation.ts';
import type { RowContext } from './rows.ts';

/** Local steps between two averagings. */
const STEPS = 10;
/** Chosen on the validation split, as the rate of the plan is (docs/main-job.md). */
const OPTIMISER = { name: 'adam', learningRate: 2e-3 };

/**
 * The plan with plain averaging in the place of its strategy, and a warm-up over as large a part of the rounds. The sum being the same
 * under every privacy mode, reports are sealed.
 */
export function averagedPlan(plan: Plan): Plan {
  const { privacy, rounds, training } = plan;
  const count = Math.ceil((rounds.count * training.steps) / STEPS);
  const warmupRounds = Math.round((count * training.schedule.warmupRounds) / rounds.count);
  const weights =
    'maxExamples' in privacy ? { weights: privacy.weights, maxExamples: privacy.maxExamples } : { weights: 'uniform' };
  return completePlan({
    ...plan,
    strategy: { name: 'fedavg' },
    rounds: { ...rounds, count },
    training: { steps: STEPS, batch: training.batch, optimiser: OPTIMISER, schedule: { name: 'cosine', warmupRounds } },
    privacy: { mode: 'sealed', clipNorm: privacy.clipNorm, ...weights },
    admission: { certificates: 'none' },
  });
}

/** What the whole federated run by plain averaging learns, over the in-memory transport; undefined if the plan itself averages. */
export async function averagedModel(
  context: RowContext,
  shards: readonly Int32Array[],
): Promise<NamedArrays | undefined> {
  const { experiment, pool, signal, onProgress } = context;
  if (context.plan.strategy.name === 'fedavg') return undefined;
  const plan = averagedPlan(context.plan);
  const { result } = await runFederation({
    plan,
    transport: 'memory',
    sources: shards.map((indices) => ({ ...experiment.train, indices })),
    pool,
    initialModel: context.initialModel,
    signal,
    onEvent: (event) => {
      if (event.type === 'committed') onProgress('fedavg', (event.summary.round + 1) / plan.rounds.count);
    },
  });
  return decodeSafetensors(result.model).arrays;
}
