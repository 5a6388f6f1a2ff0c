/**
 * What a coordinator could and could not see under a plan, in plain words: one source for the command line, the report and the
 * join page. Says no more than SECURITY.md argues.
 */
import type { Plan } from './plan.ts';
import type { NoisedPrivacy } from './plan-privacy.ts';
import { NEIGHBOURING } from './privacy/spent.ts';
import { colludersOf, DEFAULT_GROUP, leastInSum } from './secagg/rules.ts';

export interface Trust {
  /** What must be assumed of the coordinator. */
  readonly assumption: string;
  /** What the coordinator could read. */
  readonly could: readonly string[];
  /** What it could not. */
  readonly couldNot: readonly string[];
}

const METADATA = 'who took part, when, from which network address, and how long it took';
const IMAGES = 'any image, file name or label: none is ever sent';

function sealedTrust(plan: Plan): Trust {
  const weight = plan.privacy.weights === 'examples' ? ' and number of images' : '';
  return {
    assumption: 'honest-but-curious coordinator',
    could: [`each participant’s weight update, loss${weight}: it can open every report`, METADATA],
    couldNot: [IMAGES],
  };
}

/** What a noised sum shows, with the promise that it makes and to whom. */
function noisedSum({ epsilon, delta, collusion }: NoisedPrivacy): string {
  const whose = collusion
    ? 'also with the noise of a third of the participants known'
    : 'if no participant gives its noise away';
  return (
    `which in the whole run shows little more than it would without that participant: (ε, δ) = (${epsilon}, ${delta}), ` +
    `neighbouring: ${NEIGHBOURING}; no amplification by sampling claimed; ${whose}`
  );
}

function maskedTrust({ admission, privacy, rounds }: Plan): Trust {
  const certified = admission.certificates === 'required';
  const least = leastInSum(rounds);
  const bound = colludersOf(least);
  const inGroups = rounds.maxCohort > DEFAULT_GROUP ? `, of groups where there are more than ${DEFAULT_GROUP}` : '';
  return {
    assumption: certified
      ? 'a coordinator that may break its own rules, as long as it does not hold the operator’s key'
      : 'honest-but-curious coordinator',
    could: [
      privacy.mode === 'secagg+dp'
        ? `the noised sum of at least ${least} participants’ updates and losses in each round${inGroups}, ${noisedSum(privacy)}`
        : `the sum of at least ${least} participants’ updates, weights and losses in each round${inGroups}, and what such a sum shows`,
      METADATA,
    ],
    couldNot: [
      `the update, weight or loss of a single participant${bound > 0 ? `, unless more than a third of a round’s participants help it` : ''}`,
      ...(certified ? ['reports of participants that it made up: each key must be certified by the operator'] : []),
      IMAGES,
    ],
  };
}

/** Who must be trusted with what under `plan`. */
export const trustOf = (plan: Plan): Trust => (plan.privacy.mode === 'sealed' ? sealedTrust(plan) : maskedTrust(plan));

/** How a coordinator had to be trusted, in one sentence or two. */
export function trustStatement(plan: Plan): string {
  const { assumption, could, couldNot } = trustOf(plan);
  const invented =
    plan.privacy.mode !== 'sealed' && plan.admission.certificates === 'none'
      ? ' Without certificates it could have made participants up, until a sum held one real report.'
      : '';
  return (
    `Privacy mode ${plan.privacy.mode}; trust assumed: ${assumption}. ` +
    `The coordinator could see ${could.join('; ')}. It could not see ${couldNot.join('; ')}.${invented}`
  );
}
