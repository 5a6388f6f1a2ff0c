/**
 * A strategy says what becomes of the sums of a round: two pure functions over plain serialisable state, as in google/fedjax.
 * It sees only what aggregation releases (means and sums of sections), never one participant's report.
 */
import type { Plan } from '../../protocol/plan.ts';
import type { OpenedSum } from '../../protocol/report.ts';
import type { Exchange, ReportShape } from '../../protocol/sections.ts';
import type { NamedArrays } from '../../protocol/tensors.ts';

export interface StrategyInputs {
  readonly plan: Plan;
  readonly round: number;
  readonly exchange: Exchange;
  /** Means, sums, the total weight and metrics of the exchange. */
  readonly aggregate: OpenedSum;
  /** The global parameters that this round started from, in manifest order. */
  readonly global: Float32Array;
}

export interface StrategyOutputs {
  /** Named arrays are the one format of state: the store keeps them as safetensors. */
  readonly state: NamedArrays;
  /** The new global parameters; after the last exchange, and only then. */
  readonly global?: Float32Array;
  /** What participants pull before the next exchange, besides the model. */
  readonly broadcast?: NamedArrays;
}

export interface Strategy {
  readonly name: string;
  init(plan: Plan, shape: ReportShape): NamedArrays;
  apply(state: NamedArrays, inputs: StrategyInputs): StrategyOutputs;
}
