/**
 * What a participant does with a group of parameters on receiving a new global model.
 *   global  the global values
 *   local   its own values of its last round
 *   ema     μ·local + (1 − μ)·global, μ = min(1, λ·d); λ = τ/d of the first round that was measured
 *           (FedEMA, Zhuang et al., ICLR 2022; λ by its autoscaler)
 *   dapu    local if d ≥ μ₀, else global (FedU, Zhuang et al., ICCV 2021)
 * d is the divergence of the last local training. Like the authors' released code, and unlike FedEMA's paper, it measures the
 * drift from before to after that training: the mean over the encoder's kernels of ‖after − before‖₂.
 * `ema` and `dapu` count only what was trained in the round before; a participant that sat out takes the global values.
 */
import type { NamedArrays, NDArray } from '../../protocol/tensors.ts';
import type { Group } from '../contracts.ts';

export const EMA_AUTOSCALE = 0.7;
export const DAPU_THRESHOLD = 0.4;

/** What a participant knows about its last local training. */
export interface Drift {
  readonly divergence: number;
  /** λ of FedEMA, fixed at the first measured round. */
  readonly emaScale: number;
}

/** Mean over the tensors of `encoder/` that have two or more dimensions of ‖after − before‖₂; 0 if there is none. */
export function divergenceOf(before: NamedArrays, after: NamedArrays): number {
  const kernels = Object.keys(before).filter((name) => name.startsWith('encoder/') && before[name]!.shape.length >= 2);
  const norms = kernels.map((name) => {
    const [a, b] = [before[name]!.data, after[name]!.data];
    let squares = 0;
    for (let i = 0; i < a.length; i++) squares += (b[i]! - a[i]!) ** 2;
    return Math.sqrt(squares);
  });
  return norms.length === 0 ? 0 : norms.reduce((sum, n) => sum + n, 0) / norms.length;
}

/** What is kept after a round: the scale of the first one stays. */
export function driftAfter(before: NamedArrays, after: NamedArrays, known: Drift | undefined): Drift {
  const divergence = divergenceOf(before, after);
  return { divergence, emaScale: known?.emaScale ?? (divergence > 0 ? EMA_AUTOSCALE / divergence : 0) };
}

/** share·local + (1 − share)·global; exactly one of them at 0 and 1. */
export function mix(local: NDArray, global: NDArray, share: number): NDArray {
  if (share <= 0) return global;
  if (share >= 1) return local;
  const data = Float32Array.from(global.data, (g, i) => share * local.data[i]! + (1 - share) * g);
  return { shape: global.shape, dtype: 'float32', data };
}

/** The share of its own values that a participant keeps, 0 (global) to 1 (local). */
export function localShare(
  writeBack: Group['writeBack'],
  drift: Drift | undefined,
  trainedInRoundBefore: boolean,
): number {
  switch (writeBack) {
    case 'global':
      return 0;
    case 'local':
      return 1;
    case 'ema':
      return drift && trainedInRoundBefore ? Math.min(1, drift.emaScale * drift.divergence) : 0;
    case 'dapu':
      return drift && trainedInRoundBefore && drift.divergence >= DAPU_THRESHOLD ? 1 : 0;
    default:
      return writeBack satisfies never;
  }
}
