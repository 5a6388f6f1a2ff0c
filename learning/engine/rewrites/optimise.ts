/** The rewrites in their order, from a traced graph to one that can be written. */
import type { Graph } from '../onnx/graph.ts';
import { shareCommonSubexpressions } from './common-subexpressions.ts';
import { removeDeadNodes } from './dead-nodes.ts';
import { foldConstants } from './fold-constants.ts';
import { lowerConvolutions } from './lower-convolution.ts';
import { lowerNormalisation } from './lower-normalisation.ts';
import type { Rewrite } from './rebuild.ts';
import { mergeReshapes } from './reshapes.ts';
import { cancelTransposes } from './transposes.ts';

const cleanUp: readonly Rewrite[] = [foldConstants, mergeReshapes, shareCommonSubexpressions, removeDeadNodes];

export const REWRITES: readonly Rewrite[] = [
  removeDeadNodes,
  ...cleanUp,
  cancelTransposes,
  ...cleanUp,
  lowerConvolutions,
  lowerNormalisation,
  cancelTransposes,
  ...cleanUp,
];

export const optimise = (graph: Graph): Graph => REWRITES.reduce((g, rewrite) => rewrite(g), graph);
