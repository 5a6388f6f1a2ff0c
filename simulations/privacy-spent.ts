/** What a finished run has spent of its participants' privacy, for results, reports and model cards. */
import type { Plan } from '../protocol/plan.ts';
import { NEIGHBOURING } from '../protocol/privacy/spent.ts';
import type { RoundSummary } from '../server/events.ts';

export interface RunSpent {
  readonly pld: { readonly epsilon: number };
  readonly rdp: { readonly epsilon: number };
  readonly delta: number;
  readonly noiseMultiplier: number;
  readonly neighbouring: string;
  readonly assumptions: readonly string[];
}

/** Of a participant that was in every sum; nothing in modes without noise, for which there is no ε. */
export function spentIn({ privacy }: Plan, history: readonly RoundSummary[]): { readonly privacySpent?: RunSpent } {
  const { epsilon, epsilonRdp } = history.at(-1) ?? {};
  if (privacy.mode !== 'secagg+dp' || epsilon === undefined || epsilonRdp === undefined) return {};
  const { delta, noiseMultiplier, collusion } = privacy;
  return {
    privacySpent: {
      pld: { epsilon },
      rdp: { epsilon: epsilonRdp },
      delta,
      noiseMultiplier,
      neighbouring: NEIGHBOURING,
      assumptions: [
        'no amplification by sampling is claimed: the participant may be in every round',
        collusion
          ? 'at most a third of a round’s participants give their noise away'
          : 'no participant gives its noise away',
      ],
    },
  };
}

/** The same in one sentence. */
export const spentSentence = ({ pld, rdp, delta, neighbouring, assumptions }: RunSpent): string =>
  `Privacy spent by a participant in every round: ε = ${pld.epsilon.toFixed(3)} (privacy-loss distribution), ${rdp.epsilon.toFixed(3)} (Rényi) at δ = ${delta}; ` +
  `neighbouring: ${neighbouring}; ${assumptions.join('; ')}.`;
