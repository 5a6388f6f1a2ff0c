/** The rewrites in their order, from a traced graph to one that can be written. */
import type { Graph } from '../onnx/graph.ts';
import { blockConvolutions } from './block-convolutions.ts';
import { cancelReorders } from './cancel-reorders.ts';
import { cleanUp } from './clean-up.ts';
import { sumColumnsByProduct } from './column-sums.ts';
import { removeDeadNodes } from './dead-nodes.ts';
import { exchangeBlocks } from './exchange-blocks.ts';
import { fuseBlocked } from './fuse-blocked.ts';
import { gatherElements } from './gather-elements.ts';
import { joinPads } from './joined-pads.ts';
import { lowerConvolutions } from './lower-convolution.ts';
import { lowerNormalisation } from './lower-normalisation.ts';
import type { Rewrite } from './rebuild.ts';
import { moveScalarFactors } from './scalar-factors.ts';
import { scaleAddends } from './scaled-addends.ts';
import { shareLayouts } from './share-layouts.ts';
import { moveSingleAxes } from './single-axis-transposes.ts';
import { splitBatch } from './split-batch.ts';
import { dropSymmetricTransposes } from './symmetric.ts';
import { dropTrailingOnes } from './trailing-ones.ts';
import { cancelTransposes } from './transposes.ts';

export interface OptimiseOptions {
  /** Parts of the batch that threads take side by side; 1: the batch stays whole. */
  readonly parts?: number;
  /** Channels in a block of ONNX Runtime's blocked layout on this processor; 0, the default, does without that layout. */
  readonly block?: number;
}

/** All of them, in their order. */
export const rewrites = ({ parts = 1, block = 0 }: OptimiseOptions = {}): readonly Rewrite[] => [
  removeDeadNodes,
  ...cleanUp,
  // while gradients of convolutions and normalisations are single nodes
  dropSymmetricTransposes,
  joinPads,
  moveScalarFactors,
  gatherElements,
  cancelTransposes,
  ...cleanUp,
  splitBatch(parts),
  removeDeadNodes,
  // into operators of ONNX Runtime, each with the layout that it wants; then layouts meet
  blockConvolutions(block),
  lowerConvolutions,
  lowerNormalisation(block),
  cancelTransposes,
  cancelReorders(block),
  sumColumnsByProduct,
  dropTrailingOnes,
  ...cleanUp,
  // twice: what has gone up through one operator may go up through the one above it
  shareLayouts,
  ...cleanUp,
  shareLayouts,
  // what is left of layouts is written as it is done fastest
  exchangeBlocks(block),
  moveSingleAxes(block),
  ...cleanUp,
  // last, since no other rewrite sees through what is fused
  fuseBlocked,
  scaleAddends,
  removeDeadNodes,
];

/** The graph that the engine writes: the same results, from operators of ONNX and ONNX Runtime only. */
export const optimise = (graph: Graph, options?: OptimiseOptions): Graph =>
  rewrites(options).reduce((g, rewrite) => rewrite(g), graph);
