/** Each rewrite on a small graph: which nodes are left, and that the result is the same. */
import { describe, expect, it } from 'vitest';
import { float32Type as float, type GraphBuilder, type Value } from '../../../../../learning/engine/onnx/graph.ts';
import { sumColumnsByProduct } from '../../../../../learning/engine/rewrites/column-sums.ts';
import { shareCommonSubexpressions } from '../../../../../learning/engine/rewrites/common-subexpressions.ts';
import { removeDeadNodes } from '../../../../../learning/engine/rewrites/dead-nodes.ts';
import { foldConstants } from '../../../../../learning/engine/rewrites/fold-constants.ts';
import { lowerConvolutions } from '../../../../../learning/engine/rewrites/lower-convolution.ts';
import { lowerNormalisation } from '../../../../../learning/engine/rewrites/lower-normalisation.ts';
import { mergeReshapes } from '../../../../../learning/engine/rewrites/reshapes.ts';
import { splitBatch } from '../../../../../learning/engine/rewrites/split-batch.ts';
import { dropTrailingOnes } from '../../../../../learning/engine/rewrites/trailing-ones.ts';
import { cancelTransposes } from '../../../../../learning/engine/rewrites/transposes.ts';
import { expectSameResults, graphOf, operators } from './run-graph.ts';

const uniform = (g: GraphBuilder, shape: number[], value: number): Value =>
  g.constant({ dtype: 'float32', shape, data: Float32Array.of(value) });
const transpose = (g: GraphBuilder, x: Value, perm: number[]): Value => {
  const { shape } = g.typeOf(x);
  return g.node('Transpose', [x], float(perm.map((p) => shape[p]!)), { perm });
};

describe('dead nodes', () => {
  it('removes what no output needs, and what only that needed', () => {
    const graph = graphOf({ x: [2, 3] }, (g, [x]) => {
      g.node('Exp', [g.node('Neg', [x!], float([2, 3]))], float([2, 3]));
      return g.node('Relu', [x!], float([2, 3]));
    });
    expect(operators(removeDeadNodes(graph))).toEqual({ Relu: 1 });
  });
});

describe('common subexpressions', () => {
  it('computes equal things once, and unequal ones each', async () => {
    const graph = graphOf({ x: [2, 3] }, (g, [x]) => {
      const [a, b] = [g.node('Exp', [x!], float([2, 3])), g.node('Exp', [x!], float([2, 3]))];
      const [c, d] = [0, 1].map((axis) =>
        g.node('Softmax', [g.node('Add', [a, b], float([2, 3]))], float([2, 3]), { axis }),
      );
      return g.node('Sub', [c!, d!], float([2, 3]));
    });
    const after = shareCommonSubexpressions(graph);
    expect(operators(after)).toEqual({ Exp: 1, Add: 1, Softmax: 2, Sub: 1 });
    await expectSameResults(graph, after);
  });
});

describe('attributes that JSON does not tell apart', () => {
  it('keep nodes apart', () => {
    const graph = graphOf({ x: [2, 3] }, (g, [x]) => {
      const [a, b, c] = [Infinity, -Infinity, Infinity].map((value) =>
        g.node('LeakyRelu', [x!], float([2, 3]), { alpha: { float: value } }),
      );
      return g.node('Sum', [a!, b!, c!], float([2, 3]));
    });
    expect(operators(shareCommonSubexpressions(graph))).toEqual({ LeakyRelu: 2, Sum: 1 });
  });
});

describe('folded constants', () => {
  it('stay whole as what PRelu bends: ONNX broadcasts the slopes only', async () => {
    const graph = graphOf({ x: [2, 3] }, (g, [x]) => g.node('PRelu', [uniform(g, [2, 3], -2), x!], float([2, 3])));
    const after = foldConstants(graph);
    expect(after.types.get(after.nodes[0]!.inputs[0]!)?.shape).toEqual([2, 3]);
    await expectSameResults(graph, after);
  });

  it('drops ones and zeros, and turns a tensor of equal numbers into a scalar', async () => {
    const graph = graphOf({ x: [2, 3] }, (g, [x]) => {
      const type = float([2, 3]);
      const one = g.node('Mul', [x!, uniform(g, [2, 3], 1)], type);
      const same = g.node('Add', [uniform(g, [2, 3], 0), one], type);
      return g.node('Mul', [same, uniform(g, [2, 3], 2.5)], type);
    });
    const after = removeDeadNodes(foldConstants(graph));
    expect(operators(after)).toEqual({ Mul: 1 });
    expect(after.constants.get(after.nodes[0]!.inputs[1]!)?.shape).toEqual([]);
    await expectSameResults(graph, after);
  });

  it('keeps the shape that a tensor of ones gave', async () => {
    const graph = graphOf({ x: [2, 1] }, (g, [x]) => g.node('Mul', [x!, uniform(g, [2, 3], 1)], float([2, 3])));
    const after = foldConstants(graph);
    expect(operators(after)).toEqual({ Expand: 1 });
    await expectSameResults(graph, after);
  });

  it('drops an expansion before an operator that broadcasts', async () => {
    const graph = graphOf({ x: [2, 1], y: [2, 3] }, (g, [x, y]) =>
      g.node('Add', [g.node('Expand', [x!, g.ints([2, 3])], float([2, 3])), y!], float([2, 3])),
    );
    const after = removeDeadNodes(foldConstants(graph));
    expect(operators(after)).toEqual({ Add: 1 });
    await expectSameResults(graph, after);
  });

  it('computes with constants, and transposes them', async () => {
    const graph = graphOf({ x: [3, 2] }, (g, [x]) => {
      const table = g.constant({ dtype: 'float32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) });
      const half = g.node('Div', [g.float(1), g.float(2)], float([]));
      return g.node('Mul', [g.node('Mul', [x!, half], float([3, 2])), transpose(g, table, [1, 0])], float([3, 2]));
    });
    const after = removeDeadNodes(foldConstants(graph));
    expect(operators(after)).toEqual({ Mul: 2 });
    await expectSameResults(graph, after);
  });

  it('reads the step off a relu in one pass', async () => {
    const graph = graphOf({ x: [4, 5] }, (g, [x]) => {
      const y = g.node('Relu', [x!], float([4, 5]));
      const positive = g.node('Greater', [y, g.float(0)], { dtype: 'bool', shape: [4, 5] });
      return g.node('Cast', [positive], float([4, 5]), { to: 1 });
    });
    const after = removeDeadNodes(foldConstants(graph));
    expect(operators(after)).toEqual({ Relu: 1, HardSigmoid: 1 });
    await expectSameResults(graph, after);
  });
});

describe('reshapes', () => {
  it('are merged, and vanish where the shape stays', async () => {
    const reshape = (g: GraphBuilder, x: Value, shape: number[]): Value =>
      g.node('Reshape', [x, g.ints(shape)], float(shape));
    const graph = graphOf({ x: [2, 6] }, (g, [x]) => {
      const back = reshape(g, reshape(g, x!, [3, 4]), [2, 6]);
      return reshape(g, reshape(g, g.node('Exp', [back], float([2, 6])), [12]), [4, 3]);
    });
    const after = removeDeadNodes(mergeReshapes(graph));
    expect(operators(after)).toEqual({ Exp: 1, Reshape: 1 });
    await expectSameResults(graph, after);
  });
});

describe('column sums', () => {
  it('are a product with ones; other sums stay', async () => {
    const graph = graphOf({ x: [5, 3] }, (g, [x]) => {
      const columns = g.node('ReduceSum', [x!, g.ints([0])], float([1, 3]), { keepdims: 1 });
      const rows = g.node('ReduceSum', [x!, g.ints([1])], float([5, 1]), { keepdims: 1 });
      return g.node('Mul', [columns, rows], float([5, 3]));
    });
    const after = sumColumnsByProduct(graph);
    expect(operators(after)).toEqual({ MatMul: 1, ReduceSum: 1, Reshape: 1, Mul: 1 });
    await expectSameResults(graph, after);
  });
});

describe('trailing axes of one', () => {
  it('are dropped where an operand broadcasts, and come back', async () => {
    const graph = graphOf({ x: [32, 40, 1, 1], y: [32, 1, 1, 1], z: [32, 40, 1, 1] }, (g, [x, y, z]) => {
      const type = float([32, 40, 1, 1]);
      const shifted = g.node('Sub', [g.float(1), g.node('Mul', [x!, y!], type)], type);
      return g.node('Add', [shifted, z!], type);
    });
    const after = dropTrailingOnes(graph);
    const shapeOf = (op: string) => after.types.get(after.nodes.find((node) => node.op === op)!.outputs[0]!)!.shape;
    expect([shapeOf('Mul'), shapeOf('Sub'), shapeOf('Add')]).toEqual([
      [32, 40],
      [32, 40],
      [32, 40, 1, 1],
    ]);
    await expectSameResults(graph, after);
  });

  it('stay in what is soon computed', () => {
    const graph = graphOf({ x: [32, 1] }, (g, [x]) => g.node('Mul', [x!, g.float(2)], float([32, 1])));
    expect(dropTrailingOnes(graph)).toEqual(graph);
  });
});

describe('transposes', () => {
  it('cancel across elementwise operators, also with operands that broadcast', async () => {
    const graph = graphOf({ x: [2, 3, 4, 5], c: [5] }, (g, [x, c]) => {
      const type = float([2, 4, 5, 3]);
      const first = transpose(g, x!, [0, 2, 3, 1]);
      const shifted = g.node('Add', [g.node('Relu', [first], type), g.node('Exp', [first], type)], type);
      const scaled = g.node('Mul', [shifted, g.node('Reshape', [c!, g.ints([1, 1, 5, 1])], float([1, 1, 5, 1]))], type);
      return transpose(g, scaled, [0, 3, 1, 2]);
    });
    const after = removeDeadNodes(cancelTransposes(graph));
    expect(operators(after).Transpose).toBeUndefined();
    await expectSameResults(graph, after);
  });

  it('become the axes of a reduction', async () => {
    const graph = graphOf({ x: [2, 3, 4, 5] }, (g, [x]) =>
      g.node('ReduceMean', [transpose(g, x!, [0, 2, 3, 1]), g.ints([1, 2])], float([2, 3]), { keepdims: 0 }),
    );
    const after = removeDeadNodes(cancelTransposes(graph));
    expect(operators(after)).toEqual({ ReduceMean: 1 });
    await expectSameResults(graph, after);
  });

  it('that move no element are reshapes', async () => {
    const graph = graphOf({ x: [2, 1, 4, 1] }, (g, [x]) => transpose(g, x!, [1, 0, 3, 2]));
    const after = cancelTransposes(graph);
    expect(operators(after)).toEqual({ Reshape: 1 });
    await expectSameResults(graph, after);
  });
});

const GEOMETRY = { strides: [2, 2], pads: [0, 1, 1, 1], dilations: [1, 1], group: 1 };

describe('lowered convolutions', () => {
  it.each([1, 2, 4])('give the same in %i parts of the batch', async (parts) => {
    const graph = graphOf({ x: [4, 8, 6, 6], w: [5, 8, 3, 3] }, (g, [x, w]) => {
      const y = g.node('Conv', [x!, w!], float([4, 5, 3, 3]), GEOMETRY);
      const dy = g.node('Relu', [y], float([4, 5, 3, 3]));
      const dw = g.node('ConvGradFilter', [x!, dy], float([5, 8, 3, 3]), GEOMETRY, 'tacit');
      const dx = g.node('ConvGradInput', [dy, dw], float([4, 8, 6, 6]), GEOMETRY, 'tacit');
      return g.node('ReduceSum', [dx, g.ints([2, 3])], float([4, 8]), { keepdims: 0 });
    });
    const after = lowerConvolutions(splitBatch(parts)(graph));
    expect(operators(after).Conv).toBe(parts);
    await expectSameResults(lowerConvolutions(graph), after);
  });

  it('use a plain convolution for the input gradient of stride 1', () => {
    const same = { ...GEOMETRY, strides: [1, 1], pads: [1, 1, 1, 1] };
    const graph = graphOf({ dy: [2, 4, 5, 5], w: [4, 3, 3, 3] }, (g, [dy, w]) =>
      g.node('ConvGradInput', [dy!, w!], float([2, 3, 5, 5]), same, 'tacit'),
    );
    expect(operators(lowerConvolutions(graph))).toMatchObject({ Conv: 1 });
  });
});

describe('lowered normalisation', () => {
  it.each([1, 3])('gives zero mean and unit variance, in %i parts', async (parts) => {
    const graph = graphOf({ x: [3, 4, 5, 5] }, (g, [x]) => {
      const [scale, offset] = [uniform(g, [4], 1), uniform(g, [4], 0)];
      const types = [float([3, 4, 5, 5]), float([3, 2]), float([3, 2])];
      const attributes = { groups: 2, epsilon: { float: 1e-5 } };
      return g.nodes('GroupNorm', [x!, scale, offset], types, attributes, 'tacit')[0]!;
    });
    const plain = graphOf({ x: [3, 4, 5, 5] }, (g, [x]) => {
      const rows = g.node('Reshape', [x!, g.ints([6, 50])], float([6, 50]));
      const ones = uniform(g, [50], 1);
      const y = g.node('LayerNormalization', [rows, ones], float([6, 50]), { epsilon: { float: 1e-5 } });
      return g.node('Reshape', [y, g.ints([3, 4, 5, 5])], float([3, 4, 5, 5]));
    });
    await expectSameResults(plain, lowerNormalisation()(splitBatch(parts)(graph)));
  });
});
