/** A plan made complete: every named thing looked up, its options checked and defaulted, and what cannot hold refused. */
import { operatorKeyOf } from '../protocol/certificate.ts';
import { TacitError } from '../protocol/errors.ts';
import { scaleOf } from '../protocol/fixed-point.ts';
import { type Plan, parsePlan } from '../protocol/plan.ts';
import { noiseMultiplierFor } from '../protocol/privacy/noise-multiplier.ts';
import { noiseTermsOf } from '../protocol/privacy/noise-terms.ts';
import { tightEpsilon } from '../protocol/privacy/spent.ts';
import { largestRoster, rosterBytes } from '../protocol/secagg/capacity.ts';
import { exchangesOf } from '../protocol/sections.ts';
import { sizeOf } from '../protocol/tensors.ts';
import { LIMITS } from '../protocol/transport.ts';
import { augmentationOf, completeOptions, encoderOf, pretextOf } from './methods.ts';
import { modelOf } from './model.ts';
import { statisticsOf } from './shared-step.ts';

export { augmentations, encoders, pretexts } from './methods.ts';

const refuse = (where: string, message: string, hint: string): never => {
  throw new TacitError('plan/refused', `${where}: ${message}`, { where, hint });
};

function checkNormalisation({ data }: Plan): void {
  const channels = data.shape[2];
  for (const key of ['mean', 'std'] as const) {
    const length = data.normalisation[key].length;
    if (length !== 1 && length !== channels)
      refuse(
        `data.normalisation.${key}`,
        `${length} values for ${channels} channel${channels === 1 ? '' : 's'}`,
        `Give one value, or one for each of the ${channels} channels.`,
      );
  }
}

/** Largest batch of images, in numbers: 1 GiB of float32 before anything is computed from them. */
const LARGEST_BATCH = 2 ** 28;

function checkBatch({ data, training }: Plan): void {
  const numbers = training.batch * sizeOf(data.shape);
  if (numbers > LARGEST_BATCH)
    refuse(
      'training.batch',
      `a batch of ${training.batch} images of ${data.shape.join('×')} takes ${(numbers / 2 ** 28).toFixed(1)} GiB`,
      'Use a smaller batch, or smaller images.',
    );
}

/** Strategy `shared-statistics` replaces the participants' optimisers: what it cannot honour is refused. */
function checkSharedStatistics(plan: Plan): void {
  const { strategy, training } = plan;
  if (strategy.name !== 'shared-statistics') return;
  statisticsOf(plan);
  const { groups } = modelOf(plan);
  if (groups.some((group) => !group.trainable || !group.aggregate || group.writeBack !== 'global'))
    refuse('strategy.name', `${plan.pretext.name} has parameters that are not everybody's`, 'Use the strategy fedavg.');
  if (training.optimiser.name !== 'adam')
    refuse('training.optimiser.name', 'the coordinator steps with adam under shared-statistics', 'Use adam.');
  if (training.optimiserState === 'keep')
    refuse(
      'training.optimiserState',
      'participants have no optimiser of their own under shared-statistics',
      'Use reset.',
    );
  if (strategy.mode === 'exact' && training.steps !== 1)
    refuse('training.steps', 'a round in exact mode is one step', 'Set it to 1, or strategy.mode to local.');
  if (strategy.mode === 'local' && training.clipGradient !== null)
    refuse(
      'training.clipGradient',
      'local steps are not clipped one by one',
      'Use null; privacy.clipNorm clips the update.',
    );
}

/**
 * A report is fixed point: the step 1/S must stay below 1 % of C/√d, the size of a coordinate of a delta that is clipped to C.
 * The larger the cohort, the coarser the step.
 */
function checkFixedPoint(plan: Plan): void {
  const { maxCohort } = plan.rounds;
  for (const section of exchangesOf(plan, modelOf(plan).reportShape).flatMap((exchange) => exchange.sections)) {
    const step = 1 / scaleOf(section, maxCohort);
    const coordinate = section.bound / Math.sqrt(section.length);
    if (section.clipGroup !== null && step > 0.01 * coordinate)
      refuse(
        'rounds.maxCohort',
        `with ${maxCohort} participants and ${section.length} parameters a report's step of ${step.toExponential(1)} is ` +
          `more than 1 % of a coordinate (${coordinate.toExponential(1)})`,
        'Use a smaller rounds.maxCohort, or a smaller model.',
      );
  }
}

/** Updates that are kept apart take memory at the coordinator: n·d numbers, at most this many bytes. */
const MOST_KEPT_BYTES = 2 ** 30;

/** What a robust aggregator takes. */
function checkAggregator(plan: Plan): void {
  const { privacy, rounds, strategy } = plan;
  if (privacy.mode !== 'sealed' || privacy.aggregator.name === 'mean') return;
  const { aggregator } = privacy;
  if (strategy.name !== 'fedavg')
    refuse('strategy.name', `${strategy.name} needs exact sums, not ${aggregator.name}`, 'Use the strategy fedavg.');
  if (aggregator.name !== 'norm-bound' && privacy.weights !== 'uniform')
    refuse(
      'privacy.weights',
      `${aggregator.name} takes every update as one, so that nobody counts for more by saying so`,
      'Use uniform.',
    );
  if (aggregator.name === 'multi-krum' && rounds.minReports < 2 * aggregator.byzantine + 3)
    refuse(
      'rounds.minReports',
      `multi-krum against ${aggregator.byzantine} wrong updates needs ${2 * aggregator.byzantine + 3} reports`,
      'Raise rounds.minReports, or lower privacy.aggregator.byzantine.',
    );
  const kept = 4 * rounds.maxCohort * modelOf(plan).reportShape.dimension;
  if (kept > MOST_KEPT_BYTES)
    refuse(
      'privacy.aggregator.name',
      `${aggregator.name} keeps up to ${rounds.maxCohort} updates apart, ${(kept / 2 ** 30).toFixed(1)} GiB; 1 GiB is the limit`,
      'Use a smaller rounds.maxCohort or model, or the mean.',
    );
}

/** Under masks everybody is sent the whole roster, in one message. */
function checkRosterFits(plan: Plan): void {
  const { privacy, admission, rounds } = plan;
  if (privacy.mode === 'sealed') return;
  const exchanges = exchangesOf(plan, modelOf(plan).reportShape).length;
  const certified = admission.certificates === 'required';
  const most = largestRoster(exchanges, certified);
  if (rounds.maxCohort > most)
    refuse(
      'rounds.maxCohort',
      `the roster of ${rounds.maxCohort} participants under masks may take ${rosterBytes(rounds.maxCohort, exchanges, certified)} bytes, ` +
        `and a message holds ${LIMITS.bodyBytes}: at most ${most} participants fit`,
      `Set it to ${most} or less; where the plan does not say it is rounds.cohort · rounds.overSelection.`,
    );
}

/** What `secagg+dp` promises must follow from its numbers, before anyone is asked. */
function checkNoise(plan: Plan): void {
  const { privacy, rounds, strategy } = plan;
  if (privacy.mode !== 'secagg+dp') return;
  if (strategy.name !== 'fedavg')
    refuse('strategy.name', `${strategy.name} has no noised form under secagg+dp`, 'Use the strategy fedavg.');
  if (privacy.delta >= 1 / rounds.cohort)
    refuse(
      'privacy.delta',
      `δ = ${privacy.delta} is not below 1 / cohort: publishing one participant in full would pass as private`,
      'Use 1e-5 or less.',
    );
  const { noiseMultiplier, epsilon, delta } = privacy;
  const spent = tightEpsilon({ noiseMultiplier, delta, sampling: 1, rounds: rounds.count });
  if (spent > epsilon)
    refuse(
      'privacy.noiseMultiplier',
      `${rounds.count} rounds would spend ε = ${spent.toFixed(3)}, above the budget of ${epsilon}`,
      `A noise multiplier of ${noiseMultiplierFor({ epsilon, delta, sampling: 1, rounds: rounds.count }).toPrecision(6)} keeps to it; so do fewer rounds.`,
    );
  for (const exchange of exchangesOf(plan, modelOf(plan).reportShape)) noiseTermsOf(plan, exchange);
}

/**
 * The plan that `value` describes, with every default filled in; completing a complete plan changes nothing.
 * @throws TacitError plan/invalid, plan/unknown-name, plan/refused, each naming the key by its path
 */
export function completePlan(value: unknown): Plan {
  const plan = parsePlan(value);
  const complete: Plan = {
    ...plan,
    encoder: completeOptions(encoderOf(plan), 'encoder', plan.encoder),
    pretext: completeOptions(pretextOf(plan), 'pretext', plan.pretext),
    augmentation: completeOptions(augmentationOf(plan), 'augmentation', plan.augmentation),
  };
  checkNormalisation(complete);
  checkBatch(complete);
  checkSharedStatistics(complete);
  checkFixedPoint(complete);
  operatorKeyOf(complete);
  checkAggregator(complete);
  checkRosterFits(complete);
  checkNoise(complete);
  return complete;
}
