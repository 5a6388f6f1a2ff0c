/** A clipping norm that adapts, kept beside the strategy's state from round to round and brought to the participants with each. */
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

/** A stored state as the strategy's own and the norm of the coming round. */
export function splitState(plan: Plan, stored: NamedArrays): { own: NamedArrays; clipNorm: number } {
  const { [KEPT]: kept, ...own } = stored;
  return { own, clipNorm: kept?.data[0] ?? Math.fround(plan.privacy.clipNorm) };
}

/** What the first exchange brings besides the model; nothing where the norm does not adapt. */
export const broughtNorm = ({ privacy }: Plan, clipNorm: number): NamedArrays | undefined =>
  privacy.mode === 'secagg+dp' && privacy.adaptiveClipping ? { [CLIP_NORM]: scalar(clipNorm) } : undefined;

/** The state to store, with the norm of the next round. */
export function joinState({ privacy }: Plan, own: NamedArrays, clipNorm: number, opened: OpenedSum): NamedArrays {
  const within = opened.sections[WITHIN]?.[0];
  if (privacy.mode !== 'secagg+dp' || !privacy.adaptiveClipping || within === undefined) return own;
  return { ...own, [KEPT]: scalar(nextClipNorm(clipNorm, within, privacy.adaptiveClipping)) };
}
