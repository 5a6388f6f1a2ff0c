/** Kernels that reduce along axes, and those that run along one. */
import type { ArgMaxAttrs, CumsumAttrs, SoftmaxAttrs, SumAttrs, TopKAttrs } from '@tensorflow/tfjs';
import { sizeOf } from '../../../../protocol/tensors.ts';
import {
  type Call,
  cast,
  castValue,
  emit,
  fromFront,
  input,
  type Kernel,
  type Kernels,
  reduce,
  type Traced,
} from '../emit.ts';

/** tfjs gives one axis, several, or none for all of them. */
function axesOf(call: Call, x: Traced): number[] {
  // Max and Min call it by another name.
  const attrs = call.attrs as { axis?: number | number[] | null; reductionIndices?: number | number[] | null };
  const axis = attrs.axis ?? attrs.reductionIndices;
  if (axis === undefined || axis === null) return x.shape.map((_, i) => i);
  return [axis].flat().map((a) => fromFront(a, x.shape.length));
}

const reduction =
  (op: string): Kernel =>
  (call) => {
    const x = input(call, 'x');
    return reduce(call.g, op, x, axesOf(call, x), (call.attrs as SumAttrs).keepDims ?? false);
  };

/** tfjs sums bools and averages integers after a cast. */
const castFirst =
  (op: string, from: Traced['dtype'], to: Traced['dtype']): Kernel =>
  (call) => {
    const x = input(call, 'x');
    return reduction(op)({ ...call, inputs: { x: x.dtype === from ? cast(call.g, x, to) : x } });
  };

const logical =
  (op: string): Kernel =>
  (call) => {
    const x = cast(call.g, input(call, 'x'), 'int32');
    return cast(call.g, reduction(op)({ ...call, inputs: { x } }) as Traced, 'bool');
  };

const argument =
  (op: string): Kernel =>
  (call) => {
    const { g } = call;
    const x = input(call, 'x');
    const axis = fromFront([(call.attrs as ArgMaxAttrs).axis].flat()[0] ?? 0, x.shape.length);
    const shape = x.shape.filter((_, i) => i !== axis);
    const index = g.node(op, [x.value], { dtype: 'int64', shape }, { axis, keepdims: 0 });
    return { value: castValue(g, index, shape, 'int32'), shape, dtype: 'int32' };
  };

function cumulativeSum(call: Call): Traced {
  const { g } = call;
  const x = input(call, 'x');
  const { axis, exclusive, reverse } = call.attrs as CumsumAttrs;
  const attributes = { exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0 };
  return emit(g, 'CumSum', [x], { extra: [g.int(fromFront(axis, x.shape.length))], attributes });
}

const softmax = (call: Call): Traced => {
  const x = input(call, 'logits');
  return emit(call.g, 'Softmax', [x], {
    attributes: { axis: fromFront((call.attrs as SoftmaxAttrs).dim, x.shape.length) },
  });
};

const logSoftmax = (call: Call): Traced => {
  const x = input(call, 'logits');
  const { axis } = call.attrs as { axis: number };
  return emit(call.g, 'LogSoftmax', [x], { attributes: { axis: fromFront(axis, x.shape.length) } });
};

function topK(call: Call): Traced[] {
  const { g } = call;
  const x = input(call, 'x');
  const { k, sorted } = call.attrs as TopKAttrs;
  const shape = [...x.shape.slice(0, -1), k];
  const types = [
    { dtype: x.dtype, shape },
    { dtype: 'int64', shape },
  ] as const;
  const attributes = { axis: x.shape.length - 1, sorted: sorted ? 1 : 0 };
  const [values, indices] = g.nodes('TopK', [x.value, g.ints([k])], types, attributes);
  return [
    { value: values!, shape, dtype: x.dtype },
    { value: castValue(g, indices!, shape, 'int32'), shape, dtype: 'int32' },
  ];
}

/** The mean of nothing is not asked for; a mean over one element is that element. */
const mean: Kernel = (call) => {
  const x = input(call, 'x');
  if (sizeOf(x.shape) === 0) return call.unsupported('of an empty tensor');
  return castFirst('ReduceMean', 'int32', 'float32')(call);
};

export const reductionKernels: Kernels = {
  Sum: castFirst('ReduceSum', 'bool', 'int32'),
  Mean: mean,
  Max: reduction('ReduceMax'),
  Min: reduction('ReduceMin'),
  Prod: reduction('ReduceProd'),
  All: logical('ReduceMin'),
  Any: logical('ReduceMax'),
  ArgMax: argument('ArgMax'),
  ArgMin: argument('ArgMin'),
  Cumsum: cumulativeSum,
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  TopK: topK,
};
