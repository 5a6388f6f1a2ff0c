/** What a mechanism has spent: ε by both accountants, with everything that the number means nothing without. */
import { gaussianEpsilon } from './gaussian.ts';
import { checkMechanism, type Mechanism } from './mechanism.ts';
import { pldEpsilon } from './pld.ts';
import { rdpEpsilon } from './rdp.ts';

export interface Spent {
  readonly rdp: { readonly epsilon: number; readonly order: number };
  /** Decides where a budget is kept: never above the truth's upper end, and tighter. */
  readonly pld: { readonly epsilon: number };
  /** Which two data sets are compared. */
  readonly neighbouring: string;
  readonly assumptions: readonly string[];
}

export const NEIGHBOURING =
  'one participant added or removed, with all of its data: its clipped update against an update of zeros';

const sampled = (q: number): string =>
  q < 1
    ? `each participant is in each round independently with probability ${q}, and nobody else learns who was: the coordinator draws and keeps the cohort secret`
    : 'no amplification by sampling is claimed: the participant may be in every round';

const ASSUMPTIONS: readonly string[] = [
  'every released number is in the noised sum, and its largest change is counted in the clipping norm',
  'the noise comes from the operating system and is seen by nobody',
];

/** ε of T releases by privacy-loss distributions; without sampling by the exact formula, which they approach from above. */
export const tightEpsilon = ({ noiseMultiplier, sampling, rounds, delta }: Mechanism): number =>
  sampling === 1
    ? gaussianEpsilon(noiseMultiplier, rounds, delta)
    : pldEpsilon(sampling, noiseMultiplier, rounds, delta);

/** ε of both accountants. @throws TacitError privacy/out-of-range */
export function privacySpent(mechanism: Mechanism): Spent {
  checkMechanism(mechanism);
  const { noiseMultiplier, sampling, rounds, delta } = mechanism;
  return {
    rdp: rdpEpsilon(sampling, noiseMultiplier, rounds, delta),
    pld: { epsilon: tightEpsilon(mechanism) },
    neighbouring: NEIGHBOURING,
    assumptions: [sampled(sampling), ...ASSUMPTIONS],
  };
}
