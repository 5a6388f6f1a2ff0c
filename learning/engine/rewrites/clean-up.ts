/** What every other rewrite leaves behind, taken away: constants to compute, reshapes in a row, equal nodes, nodes for nothing. */
import { shareCommonSubexpressions } from './common-subexpressions.ts';
import { removeDeadNodes } from './dead-nodes.ts';
import { foldConstants } from './fold-constants.ts';
import type { Rewrite } from './rebuild.ts';
import { mergeReshapes } from './reshapes.ts';

export const cleanUp: readonly Rewrite[] = [foldConstants, mergeReshapes, shareCommonSubexpressions, removeDeadNodes];
