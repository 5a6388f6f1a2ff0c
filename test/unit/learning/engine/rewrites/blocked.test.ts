/** The blocked layout: each rewrite gives what ONNX's own operators give, and no reorder is left inside a region. */
import { describe, expect, it } from 'vitest';
import { blockOfChannels } from '../../../../../learning/engine/compiled-block.ts';
import {
  float32Type as float,
  type Graph,
  type GraphBuilder,
  type Value,
} from '../../../../../learning/engine/onnx/graph.ts';
import { blockConvolutions } from '../../../../../learning/engine/rewrites/block-convolutions.ts';
import { BLOCKED, blockedLayout } from '../../../../../learning/engine/rewrites/blocked-layout.ts';
import { cancelReorders } from '../../../../../learning/engine/rewrites/cancel-reorders.ts';
import { removeDeadNodes } from '../../../../../learning/engine/rewrites/dead-nodes.ts';
import { fuseBlocked } from '../../../../../learning/engine/rewrites/fuse-blocked.ts';
import { lowerConvolutions } from '../../../../../learning/engine/rewrites/lower-convolution.ts';
import { lowerNormalisation } from '../../../../../learning/engine/rewrites/lower-normalisation.ts';
import { mergeReshapes } from '../../../../../learning/engine/rewrites/reshapes.ts';
import { expectSameResults, graphOf, operators } from './run-graph.ts';

const block = await blockOfChannels();
const b = Math.max(block, 1);

const blockedOperators = (graph: Graph): Record<string, number> =>
  operators({ ...graph, nodes: graph.nodes.filter(({ domain }) => domain === BLOCKED) });

interface Layer {
  readonly name: string;
  /** Image [batch, channels, height, width] and filter [out, in, height, width]; channels in blocks, or fewer than one. */
  readonly image: readonly [number, number, number, number];
  readonly filter: readonly [number, number, number, number];
  readonly strides: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
  /** Blocked ones in the gradient of the input, and of the filter; 0: that gradient stays as it is. */
  readonly convolutions: readonly [number, number];
}

const LAYERS: readonly Layer[] = [
  {
    name: '3×3',
    image: [b, b, 5, 6],
    filter: [2 * b, b, 3, 3],
    strides: [1, 1],
    pads: [1, 1, 1, 1],
    convolutions: [1, 1],
  },
  {
    name: '3×3 stride 2',
    image: [b, 2 * b, 8, 6],
    filter: [b, 2 * b, 3, 3],
    strides: [2, 2],
    pads: [0, 0, 1, 1],
    convolutions: [4, 1],
  },
  {
    name: '3×3 stride 2, odd',
    image: [b, b, 7, 5],
    filter: [b, b, 3, 3],
    strides: [2, 2],
    pads: [1, 1, 1, 1],
    convolutions: [0, 1],
  },
  {
    name: '5×5 stride 3',
    image: [b, b, 9, 9],
    filter: [b, b, 5, 5],
    strides: [3, 3],
    pads: [1, 1, 1, 1],
    convolutions: [9, 1],
  },
  {
    name: '4×2 stride 2',
    image: [b, b, 6, 8],
    filter: [b, b, 4, 2],
    strides: [2, 2],
    pads: [1, 0, 1, 0],
    convolutions: [4, 1],
  },
  {
    name: '3×3 without padding',
    image: [b, b, 6, 6],
    filter: [b, b, 3, 3],
    strides: [1, 1],
    pads: [0, 0, 0, 0],
    convolutions: [1, 1],
  },
  {
    name: '1×1 stride 2',
    image: [b, b, 4, 6],
    filter: [2 * b, b, 1, 1],
    strides: [2, 2],
    pads: [0, 0, 0, 0],
    convolutions: [1, 0],
  },
  {
    name: 'few channels',
    image: [b, 3, 6, 6],
    filter: [b, 3, 3, 3],
    strides: [1, 1],
    pads: [1, 1, 1, 1],
    convolutions: [0, 1],
  },
];

const outputOf = ({ image, filter, strides, pads }: Layer): number[] => {
  const size = (axis: 0 | 1): number =>
    Math.floor((image[2 + axis]! + pads[axis]! + pads[2 + axis]! - filter[2 + axis]!) / strides[axis]!) + 1;
  return [image[0], filter[0], size(0), size(1)];
};
const geometry = ({ strides, pads }: Layer) => ({ strides, pads, dilations: [1, 1], group: 1 });

describe.skipIf(block === 0)('blocked convolutions', () => {
  it.each(LAYERS)('$name: forward', async (layer) => {
    const graph = graphOf({ x: layer.image, w: layer.filter }, (g, [x, w]) =>
      g.node('Conv', [x!, w!], float(outputOf(layer)), geometry(layer)),
    );
    const after = blockConvolutions(block)(graph);
    expect(blockedOperators(after).Conv).toBe(1);
    await expectSameResults(graph, after);
  });

  it.each(LAYERS)('$name: gradient of the input', async (layer) => {
    const graph = graphOf({ dy: outputOf(layer), w: layer.filter }, (g, [dy, w]) =>
      g.node('ConvGradInput', [dy!, w!], float(layer.image), geometry(layer), 'tacit'),
    );
    const after = blockConvolutions(block)(graph);
    expect(blockedOperators(after).Conv ?? 0).toBe(layer.convolutions[0]);
    await expectSameResults(lowerConvolutions(graph), lowerConvolutions(after));
  });

  it.each(LAYERS)('$name: gradient of the filter', async (layer) => {
    const graph = graphOf({ x: layer.image, dy: outputOf(layer) }, (g, [x, dy]) =>
      g.node('ConvGradFilter', [x!, dy!], float(layer.filter), geometry(layer), 'tacit'),
    );
    const after = blockConvolutions(block)(graph);
    expect(blockedOperators(after).Conv ?? 0).toBe(layer.convolutions[1]);
    await expectSameResults(lowerConvolutions(graph), lowerConvolutions(after));
  });

  it('take gradients without columns, and leave what does not come in blocks alone', () => {
    const gradients = (channels: number): Graph =>
      graphOf({ x: [b, channels, 8, 8], dy: [b, b, 4, 4], w: [b, channels, 3, 3] }, (g, [x, dy, w]) => {
        const attributes = { ...geometry(LAYERS[1]!) };
        const dw = g.node('ConvGradFilter', [x!, dy!], float([b, channels, 3, 3]), attributes, 'tacit');
        const both = g.node('Add', [dw, w!], float([b, channels, 3, 3]));
        return g.node('ConvGradInput', [dy!, both], float([b, channels, 8, 8]), attributes, 'tacit');
      });
    const after = removeDeadNodes(lowerConvolutions(blockConvolutions(block)(gradients(b))));
    expect(operators(after)).toMatchObject({ Conv: 5, Concat: 3 });
    expect(operators(after).Gemm ?? operators(after).ConvTranspose).toBeUndefined();
    const odd = blockConvolutions(block)(gradients(b + 1));
    expect(operators(odd).ConvGradInput).toBe(1);
  });
});

/** Normalisation, and its gradient for the sum of the output's products with `t`. */
const normalisation = (channels: number): Graph =>
  graphOf({ x: [3, channels, 4, 5], t: [3, channels, 4, 5], scale: [channels] }, (g, [x, t, scale]) => {
    const offset = g.constant({ dtype: 'float32', shape: [channels], data: Float32Array.of(0.5) });
    const shape = [3, channels, 4, 5];
    const types = [float(shape), float([3, 2]), float([3, 2])];
    const attributes = { groups: 2, epsilon: { float: 1e-5 } };
    const [y, mean, inverse] = g.nodes('GroupNorm', [x!, scale!, offset], types, attributes, 'tacit');
    const inputs = [t!, x!, mean!, inverse!, scale!];
    const gradients = [float(shape), float([channels]), float([channels])];
    const [dx, ds, db] = g.nodes('GroupNormGrad', inputs, gradients, { groups: 2 }, 'tacit');
    const small = g.node('Mul', [ds!, db!], float([channels]));
    const wide = g.node('Reshape', [small, g.ints([1, channels, 1, 1])], float([1, channels, 1, 1]));
    return g.node('Add', [g.node('Mul', [y!, dx!], float(shape)), wide], float(shape));
  });

describe.skipIf(block === 0)('blocked normalisation', () => {
  it('and its gradient are the plain ones, and pass over activations by convolution only', async () => {
    const [plain, blocked] = [0, block].map((size) => removeDeadNodes(lowerNormalisation(size)(normalisation(2 * b))));
    expect(blockedOperators(blocked!)).toMatchObject({ Conv: 5, GlobalAveragePool: 2 });
    expect(operators(blocked!).BatchNormalization).toBeUndefined();
    await expectSameResults(plain!, blocked!);
  });

  it('stays plain where channels do not come in blocks', () => {
    expect(blockedOperators(lowerNormalisation(block)(normalisation(2 * b + 2)))).toEqual({});
  });
});

const SHAPE = [2, b, 4, 4];
const enter = (g: GraphBuilder, x: Value): Value => blockedLayout(g, block).toBlocked(x);
const leave = (g: GraphBuilder, x: Value): Value => blockedLayout(g, block).fromBlocked(x);

describe.skipIf(block === 0)('reorders', () => {
  it('cancel across what works element by element, scales channels or averages positions', async () => {
    const graph = graphOf({ x: SHAPE, y: SHAPE, s: [2, b, 1, 1] }, (g, [x, y, s]) => {
      const [left, right] = [x!, y!].map((value) => leave(g, enter(g, value)));
      const sum = g.node('Add', [g.node('Relu', [left!], float(SHAPE)), right!], float(SHAPE));
      const halved = g.node('Mul', [sum, g.float(0.5)], float(SHAPE));
      const scaled = g.node('Mul', [s!, halved], float(SHAPE));
      const again = g.node('Exp', [leave(g, enter(g, scaled))], float(SHAPE));
      return g.node('ReduceMean', [again, g.ints([2, 3])], float([2, b]), { keepdims: 0 });
    });
    const after = removeDeadNodes(cancelReorders(block)(graph));
    expect(blockedOperators(after)).toEqual({ ReorderInput: 2, Conv: 1, GlobalAveragePool: 1 });
    await expectSameResults(graph, after);
  });

  it('stay before an operator with another operand of the plain layout', async () => {
    const graph = graphOf({ x: SHAPE, y: SHAPE }, (g, [x, y]) =>
      g.node('Sub', [leave(g, enter(g, x!)), y!], float(SHAPE)),
    );
    const after = removeDeadNodes(cancelReorders(block)(graph));
    expect(blockedOperators(after)).toEqual({ ReorderInput: 1, ReorderOutput: 1 });
    await expectSameResults(graph, after);
  });
});

/** relu(a·x + s), of which `also` gives another reader to a·x. */
const chain = (also: boolean): Graph =>
  graphOf({ x: SHAPE, s: SHAPE, a: [2 * b] }, (g, [x, s, a]) => {
    const mapped = blockedLayout(g, block).affine(enter(g, x!), a!);
    const y = g.node('Relu', [g.node('Add', [enter(g, s!), mapped], float(SHAPE))], float(SHAPE));
    return leave(g, also ? g.node('Sub', [y, mapped], float(SHAPE)) : y);
  });

describe.skipIf(block === 0)('fused convolutions', () => {
  it('add and rectify in the same pass', async () => {
    const after = removeDeadNodes(mergeReshapes(fuseBlocked(chain(false))));
    expect(operators(after)).toMatchObject({ Conv: 1 });
    expect(operators(after).Add ?? operators(after).Relu).toBeUndefined();
    await expectSameResults(chain(false), after);
  });

  it('stay alone where something else reads them', async () => {
    const after = removeDeadNodes(fuseBlocked(chain(true)));
    expect(operators(after)).toMatchObject({ Conv: 1, Add: 1, Relu: 1 });
    await expectSameResults(chain(true), after);
  });
});
