/**
 * What has to be computed, once all that only moves elements has become views: maps and reductions, which are loops over an expression
 * and may be fused (groups.ts), and products, convolutions and the picking of rows, which have kernels of their own.
 */
import type { Attributes, Constant, Value, ValueType } from '../onnx/graph.ts';
import type { View } from './views.ts';

/** A node that this executor has no kernel for; the graph goes to ONNX Runtime instead. */
export class Uncovered extends Error {}

/** Maps compute each element from the elements at its place; reductions add such elements up along axes. */
export type Kind = 'map' | 'reduce' | 'product' | 'convolution' | 'filter-gradient' | 'gather';

export interface Operation {
  readonly kind: Kind;
  readonly op: string;
  readonly attributes: Attributes;
  /** What is looped over: the output's shape of a map, the input's of a reduction. */
  readonly shape: readonly number[];
  /** Of a map or reduction each is seen under `shape`. */
  readonly inputs: readonly View[];
  /** Where it writes; of a reduction under `shape`, with stride 0 along what is reduced. */
  readonly into: View;
  /** Whether other operations write the rest of that buffer. */
  readonly partial: boolean;
}

export interface Program {
  readonly operations: readonly Operation[];
  /** Types of all values that have a buffer, made-up ones included. */
  readonly types: ReadonlyMap<Value, ValueType>;
  readonly constants: ReadonlyMap<Value, Constant>;
  /** Buffers of the graph's outputs, in its order. */
  readonly outputs: readonly Value[];
}
