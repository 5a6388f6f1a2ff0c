/**
 * The rewrites of a graph that leaves the house: operators of ONNX's own domain only, none chosen for one runtime or one batch
 * size, so that any runtime can read it and its batch can be made symbolic.
 */
import type { Graph, Value } from '../onnx/graph.ts';
import { cleanUp } from './clean-up.ts';
import { removeDeadNodes } from './dead-nodes.ts';
import { rebuild } from './rebuild.ts';
import { cancelTransposes } from './transposes.ts';

/** Our group normalisation as ONNX's, which gives no moments: they serve the gradient only. */
function standardNormalisation(graph: Graph): Graph {
  return rebuild(graph, ({ g, node }) => {
    if (node.domain !== 'tacit' || node.op !== 'GroupNorm') return undefined;
    const { groups, epsilon } = node.attributes as { groups: number; epsilon: { float: number } };
    const [x] = node.inputs as [Value];
    const y = g.node('GroupNormalization', node.inputs, g.typeOf(x), { num_groups: groups, epsilon });
    return [y, y, y];
  });
}

/** Forward graphs only: gradients of convolutions and normalisations have no portable form here. */
export const portable = (graph: Graph): Graph =>
  [removeDeadNodes, ...cleanUp, cancelTransposes, ...cleanUp, standardNormalisation, removeDeadNodes].reduce(
    (g, rewrite) => rewrite(g),
    graph,
  );
