/** A plan made complete: every named thing looked up, its options checked and defaulted, and what cannot hold refused. */
import { TacitError } from '../protocol/errors.ts';
import { scaleOf } from '../protocol/fixed-point.ts';
import { type Plan, parsePlan } from '../protocol/plan.ts';
import { exchangesOf } from '../protocol/sections.ts';
import { sizeOf } from '../protocol/tensors.ts';
import { augmentationOf, completeOptions, encoderOf, pretextOf } from './methods.ts';
import { modelOf } from './model.ts';

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
  checkFixedPoint(complete);
  return complete;
}
