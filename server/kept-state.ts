/**
 * What is kept beside the strategy's own state from round to round: a robust aggregator's, and a clipping norm that adapts, which is
 * brought to the participants with each round.
 */
import type { Plan } from '../protocol/plan.ts';
import { nextClipNorm } from '../protocol/privacy/adaptive-clip.ts';
import { CLIP_NORM, WITHIN } from '../protocol/privacy/noised-exchange.ts';
import type { OpenedSum } from '../protocol/report.ts';
import type { NamedArrays } from '../protocol/tensors.ts';

/** Its name in the stored state; no strategy's array has such a name. */
const KEPT = `privacy/${CLIP_NORM}`;

const scalar = (value: number): NamedArrays[string] => ({
  shape: [],
  dtype: 'float32',
  data: Float32Array.of(value),
});

const AGGREGATOR = 'aggregator/';

export interface KeptState {
  /** The strategy's. */
  readonly own: NamedArrays;
  readonly aggregator: NamedArrays;
  /** Of the coming round. */
  readonly clipNorm: number;
}

export function splitState(plan: Plan, stored: NamedArrays): KeptState {
  const { [KEPT]: kept, ...others } = stored;
  const entries = Object.entries(others);
  const ofAggregator = entries.filter(([name]) => name.startsWith(AGGREGATOR));
  return {
    own: Object.fromEntries(entries.filter(([name]) => !name.startsWith(AGGREGATOR))),
    aggregator: Object.fromEntries(ofAggregator.map(([name, array]) => [name.slice(AGGREGATOR.length), array])),
    clipNorm: kept?.data[0] ?? Math.fround(plan.privacy.clipNorm),
  };
}

/** What the first exchange brings besides the model; nothing where the norm does not adapt. */
export const broughtNorm = ({ privacy }: Plan, clipNorm: number): NamedArrays | undefined =>
  privacy.mode === 'secagg+dp' && privacy.adaptiveClipping ? { [CLIP_NORM]: scalar(clipNorm) } : undefined;

/** The state to store, with the norm of the next round. */
export function joinState({ privacy }: Plan, kept: KeptState, opened: OpenedSum): NamedArrays {
  const { clipNorm } = kept;
  const aggregator = Object.entries(kept.aggregator).map(([name, array]) => [`${AGGREGATOR}${name}`, array]);
  const own: NamedArrays = { ...kept.own, ...Object.fromEntries(aggregator) };
  const within = opened.sections[WITHIN]?.[0];
  if (privacy.mode !== 'secagg+dp' || !privacy.adaptiveClipping || within === undefined) return own;
  return { ...own, [KEPT]: scalar(nextClipNorm(clipNorm, within, privacy.adaptiveClipping)) };
}
