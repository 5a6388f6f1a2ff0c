/** Kernels that read or write by index, embedding lookup and its gradient among them. */
import type { GatherV2Attrs, OneHotAttrs, ScatterNdAttrs, UnsortedSegmentSumAttrs } from '@tensorflow/tfjs';
import { sizeOf } from '../../../../protocol/tensors.ts';
import type { Value } from '../../onnx/graph.ts';
import {
  binary,
  type Call,
  castValue,
  constantTensor,
  emit,
  filled,
  fromFront,
  input,
  type Kernels,
  reshape,
  scalarLike,
  sliceBox,
  type Traced,
} from '../emit.ts';

const int64 = (call: Call, t: Traced): Value => castValue(call.g, t.value, t.shape, 'int64');

function gather(call: Call): Traced {
  const { g } = call;
  const [x, indices] = [input(call, 'x'), input(call, 'indices')];
  const { axis: given, batchDims = 0 } = call.attrs as GatherV2Attrs;
  const axis = fromFront(given, x.shape.length);
  const shape = [...x.shape.slice(0, axis), ...indices.shape.slice(batchDims), ...x.shape.slice(axis + 1)];
  if (batchDims === 0) return emit(g, 'Gather', [x, indices], { shape, attributes: { axis } });
  if (axis !== batchDims) return call.unsupported(`along axis ${axis} with ${batchDims} batch dimensions`);
  const last = reshape(g, indices, [...indices.shape, 1]);
  return emit(g, 'GatherND', [x], { shape, extra: [int64(call, last)], attributes: { batch_dims: batchDims } });
}

function gatherNd(call: Call): Traced {
  const [params, indices] = [input(call, 'params'), input(call, 'indices')];
  const depth = indices.shape.at(-1)!;
  const shape = [...indices.shape.slice(0, -1), ...params.shape.slice(depth)];
  return emit(call.g, 'GatherND', [params], { shape, extra: [int64(call, indices)] });
}

/** base with updates added (or written) at indices [n, depth]. */
function scatter(call: Call, base: Traced, indices: Traced, updates: Traced, mode: 'add' | 'none'): Traced {
  return emit(call.g, 'ScatterND', [base], {
    extra: [int64(call, indices), updates.value],
    attributes: { reduction: mode },
  });
}

function scatterNd(call: Call): Traced {
  const [indices, updates] = [input(call, 'indices'), input(call, 'updates')];
  const { shape } = call.attrs as ScatterNdAttrs;
  return scatter(call, filled(call.g, shape, 0, updates.dtype), indices, updates, 'add');
}

/** Rows added up by segment; rows with a negative id are dropped, by way of a spare last segment. */
function segmentSum(call: Call): Traced {
  const { g } = call;
  const [x, ids] = [input(call, 'x'), input(call, 'segmentIds')];
  const { numSegments } = call.attrs as UnsortedSegmentSumAttrs;
  const rows = sizeOf(ids.shape);
  const rowShape = x.shape.slice(ids.shape.length);
  const flat = reshape(g, ids, [rows, 1]);
  const negative = binary(g, 'Less', flat, scalarLike(g, flat, 0), 'bool');
  const kept = emit(g, 'Where', [negative, scalarLike(g, flat, numSegments), flat], {
    shape: flat.shape,
    dtype: 'int32',
  });
  const zeros = filled(g, [numSegments + 1, ...rowShape], 0, x.dtype);
  const sums = scatter(call, zeros, kept, reshape(g, x, [rows, ...rowShape]), 'add');
  const shape = [numSegments, ...rowShape];
  return sliceBox(
    g,
    sums,
    shape.map(() => 0),
    shape,
  );
}

function oneHot(call: Call): Traced {
  const { g } = call;
  const indices = input(call, 'indices');
  const { depth, onValue, offValue, dtype } = call.attrs as OneHotAttrs;
  const type = dtype === 'int32' || dtype === 'bool' ? dtype : 'float32';
  const shape = [...indices.shape, depth];
  const classes = constantTensor(
    g,
    [depth],
    Int32Array.from({ length: depth }, (_, i) => i),
  );
  const hit = binary(g, 'Equal', reshape(g, indices, [...indices.shape, 1]), classes, 'bool');
  if (type === 'bool') return hit;
  const like = { dtype: type } as const;
  return emit(g, 'Where', [hit, scalarLike(g, like, onValue), scalarLike(g, like, offValue)], { shape, dtype: type });
}

export const indexingKernels: Kernels = {
  GatherV2: gather,
  GatherNd: gatherNd,
  ScatterNd: scatterNd,
  TensorScatterUpdate: (call) =>
    scatter(call, input(call, 'tensor'), input(call, 'indices'), input(call, 'updates'), 'none'),
  UnsortedSegmentSum: segmentSum,
  OneHot: oneHot,
};
