/**
 * Whether anything can be learned through the noise. The mean of m clipped updates has a norm of at most C; its noise has one of
 * z·C·√d/m. Noise does not shrink with the model's good intentions: only more participants, fewer numbers or less noise help.
 */

export interface NoiseQuestion {
  readonly noiseMultiplier: number;
  /** Reports in one sum. */
  readonly participants: number;
  readonly dimension: number;
  readonly clipNorm: number;
}

export interface NoiseVerdict {
  /** Length of the noise over the greatest length of the mean update, per round: z·√d/m. */
  readonly noiseToSignal: number;
  /** Standard deviation of the noise of each number of the mean. */
  readonly deviation: number;
  /** Participants at which the ratio falls to 0.3. */
  readonly participantsNeeded: number;
  readonly verdict: 'useful' | 'doubtful' | 'useless';
  readonly text: string;
}

/** Seen to work in practice: updates that stand out of the noise three to one. */
const USEFUL = 0.3;
const USELESS = 1;

export function judgeNoise({ noiseMultiplier, participants, dimension, clipNorm }: NoiseQuestion): NoiseVerdict {
  const noiseToSignal = (noiseMultiplier * Math.sqrt(dimension)) / participants;
  const participantsNeeded = Math.ceil((noiseMultiplier * Math.sqrt(dimension)) / USEFUL);
  const verdict = noiseToSignal <= USEFUL ? 'useful' : noiseToSignal < USELESS ? 'doubtful' : 'useless';
  const ratio = Number(noiseToSignal.toPrecision(2));
  const finding = `in each round the noise is ${ratio} times as long as the longest possible mean update`;
  const way = `${participantsNeeded.toLocaleString('en-US')} participants in a sum (or fewer parameters, rounds, or a larger ε) would bring it to ${USEFUL}`;
  const text = {
    useful: `useful: ${finding}.`,
    doubtful: `doubtful: ${finding}; ${way}.`,
    useless: `this cohort is too small to be useful: ${finding}, and the model would be mostly noise; ${way}.`,
  }[verdict];
  return {
    noiseToSignal,
    deviation: (noiseMultiplier * clipNorm) / participants,
    participantsNeeded,
    verdict,
    text,
  };
}
