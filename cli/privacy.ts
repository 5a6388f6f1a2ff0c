/** What `tacit privacy` answers: noise for a budget, ε for noise, and in plain words whether that can be of use. */
import type { Mechanism } from '../protocol/privacy/mechanism.ts';
import { noiseMultiplierFor } from '../protocol/privacy/noise-multiplier.ts';
import { privacySpent, type Spent } from '../protocol/privacy/spent.ts';
import { judgeNoise, type NoiseVerdict } from '../protocol/privacy/usefulness.ts';

export interface SpentQuestion extends Mechanism {
  readonly participants?: number;
}

export interface PlanQuestion extends Omit<SpentQuestion, 'noiseMultiplier'> {
  readonly epsilon: number;
  readonly dimension?: number;
  readonly clip: number;
}

export interface SpentAnswer extends Spent {
  readonly warnings: readonly string[];
}

export interface PlanAnswer extends SpentAnswer {
  readonly noiseMultiplier: number;
  readonly epsilon: number;
  readonly delta: number;
  readonly rounds: number;
  readonly sampling: number;
  /** When the number of participants and the dimension are given. */
  readonly verdict?: NoiseVerdict;
}

function warningsFor({ delta, participants }: { delta: number; participants?: number }): string[] {
  if (participants !== undefined && delta >= 1 / participants) {
    return [
      `δ = ${delta} is not below 1 / participants = ${1 / participants}: a mechanism that publishes one participant in full would pass as private`,
    ];
  }
  return delta >= 1e-2 ? [`δ = ${delta} is large: it is the chance that ε does not hold at all`] : [];
}

/** @throws TacitError privacy/out-of-range */
export const spentPrivacy = (question: SpentQuestion): SpentAnswer => ({
  ...privacySpent(question),
  warnings: warningsFor(question),
});

/** @throws TacitError privacy/out-of-range */
export function planPrivacy(question: PlanQuestion): PlanAnswer {
  const { epsilon, delta, rounds, sampling, participants, dimension, clip } = question;
  const noiseMultiplier = noiseMultiplierFor({ epsilon, delta, rounds, sampling });
  const spent = spentPrivacy({ ...question, noiseMultiplier });
  const verdict =
    participants === undefined || dimension === undefined
      ? undefined
      : judgeNoise({ noiseMultiplier, participants, dimension, clipNorm: clip });
  return { noiseMultiplier, epsilon, delta, rounds, sampling, ...spent, ...(verdict ? { verdict } : {}) };
}

const significant = (x: number, digits = 4): string => String(Number(x.toPrecision(digits)));

const lines = ({ rdp, pld, neighbouring, assumptions, warnings }: SpentAnswer, delta: number): string[] => [
  `ε by privacy-loss distributions  ${significant(pld.epsilon, 6)}   (δ = ${delta})`,
  `ε by Rényi divergence            ${significant(rdp.epsilon, 6)}   (order ${rdp.order})`,
  `neighbouring                     ${neighbouring}`,
  ...assumptions.map((text, i) => `${(i === 0 ? 'assuming' : '').padEnd(33)}${text}`),
  ...warnings.map((text) => `warning: ${text}`),
];

export const renderSpent = (answer: SpentAnswer, { delta }: { delta: number }): string =>
  lines(answer, delta).join('\n');

export function renderPrivacyPlan(answer: PlanAnswer): string {
  const { noiseMultiplier, verdict, delta } = answer;
  const first = `noise multiplier                 ${significant(noiseMultiplier, 6)}   (standard deviation of the noise of a sum, in clipping norms)`;
  return [first, ...lines(answer, delta), ...(verdict ? [verdict.text] : [])].join('\n');
}
