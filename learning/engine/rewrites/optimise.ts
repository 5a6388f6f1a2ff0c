/** The rewrites in their order, from a traced graph to one that can be written. */
import type { Graph } from '../onnx/graph.ts';
import { blockConvolutions } from './block-convolutions.ts';
import { cancelReorders } from './cancel-reorders.ts';
import { sumColumnsByProduct } from './column-sums.ts';
import { shareCommonSubexpressions } from './common-subexpressions.ts';
import { removeDeadNodes } from './dead-nodes.ts';
import { exchangeBlocks } from './exchange-blocks.ts';
import { foldConstants } from './fold-constants.ts';
import { fuseBlocked } from './fuse-blocked.ts';
import { gatherElements } from './gather-elements.ts';
import { joinPads } from './joined-pads.ts';
import { lowerConvolutions } from './lower-convolution.ts';
import { lowerNormalisation } from './lower-normalisation.ts';
import type { Rewrite } from './rebuild.ts';
import { mergeReshapes } from './reshapes.ts';
import { moveScalarFactors } from './scalar-factors.ts';
import { scaleAddends } from './scaled-addends.ts';
import { shareLayouts } from './share-layouts.ts';
import { moveSingleAxes } from './single-axis-transposes.ts';
import { splitBatch } from './split-batch.ts';
import { dropSymmetricTransposes } from './symmetric.ts';
import { dropTrailingOnes } from './trailing-ones.ts';
import { cancelTransposes } from './transposes.ts';

const cleanUp: readonly Rewrite[] = [foldConstants, mergeReshapes, shareCommonSubexpressions, removeDeadNodes];

export interface OptimiseOptions {
  /** Parts of the batch that threads take side by side; 1: the batch stays whole. */
  readonly parts?: number;
  /** Channels in a block of ONNX Runtime's blocked layout on this processor; 0, the default, does without that layout. */
  readonly block?: number;
}

export const rewrites = ({ parts = 1, block = 0 }: OptimiseOptions = {}): readonly Rewrite[] => [
  removeDeadNodes,
  ...cleanUp,
  dropSymmetricTransposes,
  joinPads,
  moveScalarFactors,
  gatherElements,
  cancelTransposes,
  ...cleanUp,
  splitBatch(parts),
  removeDeadNodes,
  blockConvolutions(block),
  lowerConvolutions,
  lowerNormalisation(block),
  cancelTransposes,
  cancelReorders(block),
  sumColumnsByProduct,
  dropTrailingOnes,
  ...cleanUp,
  shareLayouts,
  ...cleanUp,
  shareLayouts,
  exchangeBlocks(block),
  moveSingleAxes(block),
  ...cleanUp,
  fuseBlocked,
  scaleAddends,
  removeDeadNodes,
];

export const optimise = (graph: Graph, options?: OptimiseOptions): Graph =>
  rewrites(options).reduce((g, rewrite) => rewrite(g), graph);
