/** Matrix products, fused ones included. */
import type { _FusedMatMulAttrs, BatchMatMulAttrs, EinsumAttrs, FusedConv2DAttrs } from '@tensorflow/tfjs';
import {
  binary,
  broadcastShapes,
  type Call,
  emit,
  input,
  inputList,
  type Kernels,
  optionalInput,
  reshape,
  scalarLike,
  type Traced,
  transpose,
  unary,
} from '../emit.ts';

const swapLast = (rank: number): number[] => [...Array(rank - 2).keys(), rank - 1, rank - 2];

/** a · b over leading batch dimensions that broadcast; transposes stay in the graph, where a rewrite may fuse them. */
export function matMul(call: Call, a: Traced, b: Traced, transposeA: boolean, transposeB: boolean): Traced {
  const { g } = call;
  const left = transposeA ? transpose(g, a, swapLast(a.shape.length)) : a;
  const right = transposeB ? transpose(g, b, swapLast(b.shape.length)) : b;
  const batch = broadcastShapes(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const shape = [...batch, left.shape.at(-2)!, right.shape.at(-1)!];
  // tfjs adds a batch dimension of one to plain matrices, which would keep ONNX Runtime from its fast path.
  if (batch.length > 0 && batch.every((d) => d === 1)) {
    const [p, q] = [reshape(g, left, left.shape.slice(-2)), reshape(g, right, right.shape.slice(-2))];
    return reshape(g, emit(g, 'MatMul', [p, q], { shape: shape.slice(-2) }), shape);
  }
  return emit(g, 'MatMul', [left, right], { shape });
}

/** Applies tfjs's named activation of a fused kernel. */
export function activate(call: Call, x: Traced, attrs: FusedConv2DAttrs | _FusedMatMulAttrs): Traced {
  const { g } = call;
  const { activation, leakyreluAlpha } = attrs;
  if (!activation || activation === 'linear') return x;
  if (activation === 'relu') return unary(g, 'Relu', x);
  if (activation === 'elu') return unary(g, 'Elu', x);
  if (activation === 'sigmoid') return unary(g, 'Sigmoid', x);
  if (activation === 'relu6') return emit(g, 'Clip', [x, scalarLike(g, x, 0), scalarLike(g, x, 6)]);
  if (activation === 'leakyrelu') return unary(g, 'LeakyRelu', x, { alpha: { float: leakyreluAlpha ?? 0.2 } });
  if (activation === 'prelu') return emit(g, 'PRelu', [x, input(call, 'preluActivationWeights')]);
  return call.unsupported(`with activation ${String(activation)}`);
}

function fusedMatMul(call: Call): Traced {
  const attrs = call.attrs as _FusedMatMulAttrs;
  const bias = optionalInput(call, 'bias');
  const product = matMul(call, input(call, 'a'), input(call, 'b'), attrs.transposeA, attrs.transposeB);
  return activate(call, bias ? binary(call.g, 'Add', product, bias) : product, attrs);
}

function einsum(call: Call): Traced {
  const operands = inputList(call);
  const { equation } = call.attrs as EinsumAttrs;
  const [terms, result] = equation.replaceAll(' ', '').split('->') as [string, string];
  const sizes = new Map(terms.split(',').flatMap((term, i) => [...term].map((c, j) => [c, operands[i]!.shape[j]!])));
  const shape = [...result].map((c) => sizes.get(c)!);
  return emit(call.g, 'Einsum', operands, { shape, attributes: { equation } });
}

export const matrixKernels: Kernels = {
  BatchMatMul: (call) => {
    const { transposeA, transposeB } = call.attrs as BatchMatMulAttrs;
    return matMul(call, input(call, 'a'), input(call, 'b'), transposeA, transposeB);
  },
  _FusedMatMul: fusedMatMul,
  Einsum: einsum,
};
