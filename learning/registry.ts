/** A plan made complete: every named thing looked up, its options checked and defaulted, and what cannot hold refused. */
import { TacitError } from '../protocol/errors.ts';
import { type Plan, parsePlan } from '../protocol/plan.ts';
import { augmentationOf, completeOptions, encoderOf, pretextOf } from './methods.ts';
import { modelOf } from './model.ts';

export { augmentationOf, augmentations, encoderOf, encoders, pretextOf, pretexts } from './methods.ts';

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
  modelOf(complete);
  return complete;
}
