/** Views, groups and memory: what moves nothing costs nothing, what is walked alike is one loop, what is dead is written over. */
import { describe, expect, it } from 'vitest';
import { float32Type, type GraphBuilder, type Value } from '../../../../../learning/engine/onnx/graph.ts';
import { groupsOf } from '../../../../../learning/engine/wasm/groups.ts';
import { planMemory } from '../../../../../learning/engine/wasm/memory.ts';
import { resolve } from '../../../../../learning/engine/wasm/resolve.ts';
import {
  broadcast,
  commonRefinement,
  isDense,
  mergedAxes,
  permuted,
  reshaped,
  sliced,
  whole,
} from '../../../../../learning/engine/wasm/views.ts';
import { graphOf } from '../rewrites/run-graph.ts';

const f = float32Type;
const shape = [8, 6];
const map = (g: GraphBuilder, op: string, ...inputs: Value[]): Value => g.node(op, inputs, f(shape));
const fused = (body: (g: GraphBuilder, x: Value, y: Value) => Value): string[] => {
  const graph = graphOf({ x: shape, z: shape }, (g, [x, z]) => body(g, x!, z!));
  return groupsOf(resolve(graph)).map(({ operations }) => operations.map(({ op }) => op).join(' '));
};

describe('views', () => {
  it('reshape without a copy where elements stay in order', () => {
    const x = whole(0, [2, 3, 4]);
    expect(reshaped(x, [6, 4])!.strides).toEqual([4, 1]);
    expect(reshaped(x, [2, 1, 12])!.strides).toEqual([12, 0, 1]);
    expect(reshaped(permuted(x, [1, 0, 2]), [3, 2, 2, 2])!.strides).toEqual([4, 12, 2, 1]);
    expect(reshaped(permuted(x, [1, 0, 2]), [6, 4])).toBeUndefined();
    expect(reshaped(broadcast(whole(0, [1, 4]), [6, 4]), [2, 3, 4])!.strides).toEqual([0, 0, 1]);
    expect(isDense(permuted(x, [1, 0, 2]))).toBe(false);
    expect(sliced(x, [1, 0, 3], [1, 3, 2], [1, 1, -2])).toMatchObject({ offset: 15, strides: [12, 4, -2] });
  });

  it('share the axes that all of them walk alike', () => {
    expect(
      mergedAxes(
        [2, 3, 4],
        [
          [12, 4, 1],
          [0, 4, 1],
        ],
      ),
    ).toEqual({
      shape: [2, 12],
      strides: [
        [12, 1],
        [0, 1],
      ],
    });
    expect(commonRefinement([6, 4], [2, 12])).toEqual([2, 3, 4]);
    expect(commonRefinement([4, 6], [6, 4])).toBeUndefined();
  });
});

describe('groups', () => {
  it('take a chain, and a reduction behind it, in one loop', () => {
    const groups = fused((g, x, z) => {
      const e = map(g, 'Exp', map(g, 'Add', map(g, 'Mul', x, z), z));
      return g.node('ReduceSum', [e, g.ints([1])], f([8]), { keepdims: 0 });
    });
    expect(groups).toEqual(['Mul Add Exp ReduceSum']);
  });

  it('do not put a sum into the loop that needs it', () => {
    const groups = fused((g, x) => {
      const sum = g.node('ReduceSum', [x, g.ints([1])], f([8, 1]), { keepdims: 1 });
      return map(g, 'Div', map(g, 'Exp', x), sum);
    });
    expect(groups).toEqual(['ReduceSum', 'Exp Div']);
  });

  it('do not read in another order what the loop is still writing', () => {
    const groups = fused((g, x) => {
      const e = map(g, 'Exp', x);
      const turned = g.node('Transpose', [e], f([6, 8]), { perm: [1, 0] });
      const again = g.node('Reshape', [turned, g.ints(shape)], f(shape));
      return map(g, 'Add', e, again);
    });
    expect(groups).toEqual(['Exp', 'Identity', 'Add']);
  });

  it('sum what they have at hand, though its result is wanted later', () => {
    const groups = fused((g, x) => {
      const e = map(g, 'Exp', x);
      const sum = g.node('ReduceSum', [e, g.ints([0])], f([6]), { keepdims: 0 });
      const square = g.node('ReduceMean', [map(g, 'Mul', e, e), g.ints([0])], f([6]), { keepdims: 0 });
      return map(g, 'Mul', e, g.node('Add', [sum, square], f([6])));
    });
    expect(groups).toEqual(['Exp ReduceSum Mul ReduceMean', 'Add', 'Mul']);
  });
});

describe('memory', () => {
  const needs = (carried: boolean) => {
    const graph = graphOf({ x: shape, z: shape }, (g, [x, z]) => {
      const product = g.node('MatMul', [x!, g.node('Transpose', [z!], f([6, 8]), { perm: [1, 0] })], f([8, 8]));
      const sum = g.node('ReduceSum', [product, g.ints([1])], f([8, 1]), { keepdims: 1 });
      return map(g, 'Add', x!, sum);
    });
    const program = resolve(graph);
    const groups = groupsOf(program);
    const [x, z] = graph.inputs.map(({ value }) => value) as [Value, Value];
    const [y] = program.outputs as [Value];
    const plan = planMemory({
      ...{ program, groups, kept: [x, z], from: 64 },
      carried: new Map(carried ? [[y, x]] : []),
      scratch: groups.map(() => 32),
    });
    return { plan, x, z, y };
  };

  it('writes a carried output over its input once nothing else reads it', () => {
    const { plan, x, z, y } = needs(true);
    expect(plan.address(y)).toBe(plan.address(x));
    expect(plan.copies).toEqual([]);
    expect(plan.address(z)).not.toBe(plan.address(x));
    const apart = needs(false);
    expect(apart.plan.address(apart.y)).not.toBe(apart.plan.address(apart.x));
  });

  it('keeps what lives at one time apart', () => {
    const { plan, x, z } = needs(true);
    const spans = [plan.address(x), plan.address(z)].sort((a, b) => a - b);
    expect(spans[1]! - spans[0]!).toBeGreaterThanOrEqual(8 * 6 * 4);
    expect(plan.bytes).toBeGreaterThan(64 + 2 * 192);
  });
});
