/** The encoder of a final model as a file of its own: what `tacit embed`, `evaluate` and `finetune` take. */
import { under, within } from '../learning/names.ts';
import type { Plan } from '../protocol/plan.ts';
import { decodeSafetensors, encodeSafetensors } from '../protocol/safetensors.ts';

/**
 * A safetensors file with the parameters `encoder/…` of `model`, and in its metadata the plan and the hash of the whole model.
 * @throws TacitError weights/malformed
 */
export function encoderFile(model: Uint8Array, modelHash: string, plan: Plan): Uint8Array<ArrayBuffer> {
  const encoder = under('encoder', within('encoder', decodeSafetensors(model).arrays));
  return encodeSafetensors(encoder, { plan: JSON.stringify(plan), modelHash });
}
