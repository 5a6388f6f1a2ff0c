/** The rewrites in their order, from a traced graph to one that can be written. */
import type { Graph } from '../onnx/graph.ts';
import { shareCommonSubexpressions } from './common-subexpressions.ts';
import { removeDeadNodes } from './dead-nodes.ts';
import { foldConstants } from './fold-constants.ts';
import { lowerConvolutions } from './lower-convolution.ts';
import { lowerNormalisation } from './lower-normalisation.ts';
import type { Rewrite } from './rebuild.ts';
import { mergeReshapes } from './reshapes.ts';
import { splitBatch } from './split-batch.ts';
import { cancelTransposes } from './transposes.ts';

const cleanUp: readonly Rewrite[] = [foldConstants, mergeReshapes, shareCommonSubexpressions, removeDeadNodes];

export interface OptimiseOptions {
  /** Parts of the batch that threads take side by side; 1: the batch stays whole. */
  readonly parts?: number;
}

export const rewrites = ({ parts = 1 }: OptimiseOptions = {}): readonly Rewrite[] => [
  removeDeadNodes,
  ...cleanUp,
  cancelTransposes,
  ...cleanUp,
  splitBatch(parts),
  removeDeadNodes,
  lowerConvolutions,
  lowerNormalisation,
  cancelTransposes,
  ...cleanUp,
];

export const optimise = (graph: Graph, options?: OptimiseOptions): Graph =>
  rewrites(options).reduce((g, rewrite) => rewrite(g), graph);
