/** Kernels that move elements without computing: shapes, slices, joins, padding, tiling. */
import type {
  BatchToSpaceNDAttrs,
  ConcatAttrs,
  ExpandDimsAttrs,
  FillAttrs,
  LinSpaceAttrs,
  MirrorPadAttrs,
  PackAttrs,
  PadV2Attrs,
  RangeAttrs,
  ReverseAttrs,
  SliceAttrs,
  SpaceToBatchNDAttrs,
  SplitVAttrs,
  StridedSliceAttrs,
  TileAttrs,
  TransposeAttrs,
  UnpackAttrs,
} from '@tensorflow/tfjs';
import { sizeOf } from '../../../../protocol/tensors.ts';
import { BEFORE_FIRST } from '../../onnx/graph.ts';
import {
  type Call,
  constantTensor,
  emit,
  filled,
  fromFront,
  input,
  inputList,
  type Kernels,
  reshape,
  scalarLike,
  sliceBox,
  type Traced,
  transpose,
} from '../emit.ts';

function reshapeKernel(call: Call): Traced {
  const x = input(call, 'x');
  const { shape } = call.attrs as { shape: number[] };
  const known = shape.reduce((n, d) => (d === -1 ? n : n * d), 1);
  const full = shape.map((d) => (d === -1 ? sizeOf(x.shape) / known : d));
  return reshape(call.g, x, full);
}

function expandDims(call: Call): Traced {
  const x = input(call, 'input');
  const { dim } = call.attrs as ExpandDimsAttrs;
  const axis = dim < 0 ? dim + x.shape.length + 1 : dim;
  return reshape(call.g, x, [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)]);
}

function concat(call: Call): Traced {
  const parts = inputList(call);
  const { axis: given } = call.attrs as ConcatAttrs;
  const axis = fromFront(given, parts[0]!.shape.length);
  const filledParts = parts.filter((part) => sizeOf(part.shape) > 0);
  if (filledParts.length === 1) return filledParts[0]!;
  const shape = parts[0]!.shape.map((d, i) => (i === axis ? parts.reduce((n, p) => n + p.shape[axis]!, 0) : d));
  return emit(call.g, 'Concat', filledParts, { shape, attributes: { axis } });
}

function slice(call: Call): Traced {
  const x = input(call, 'x');
  const attrs = call.attrs as SliceAttrs;
  const begin = [attrs.begin].flat();
  const size = [attrs.size].flat();
  const from = x.shape.map((_, i) => begin[i] ?? 0);
  const lengths = x.shape.map((d, i) => (size[i] === undefined || size[i] === -1 ? d - from[i]! : size[i]!));
  return sliceBox(call.g, x, from, lengths);
}

function stridedSlice(call: Call): Traced {
  const { g, util } = call;
  const x = input(call, 'x');
  const attrs = call.attrs as StridedSliceAttrs;
  const { begin, end, strides, beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = attrs;
  const info = util.slice_util.sliceInfo(
    [...x.shape],
    begin,
    end,
    strides,
    beginMask,
    endMask,
    ellipsisMask,
    newAxisMask,
    shrinkAxisMask,
  );
  const sizes = info.begin.map((b, i) => Math.max(0, Math.ceil((info.end[i]! - b) / info.strides[i]!)));
  // a downward slice that includes element 0 ends before it
  const ends = info.end.map((e, i) => (info.strides[i]! < 0 && e < 0 ? BEFORE_FIRST : e));
  const axes = x.shape.map((_, i) => i);
  const extra = [g.ints(info.begin), g.ints(ends), g.ints(axes), g.ints(info.strides)];
  return reshape(g, emit(g, 'Slice', [x], { shape: sizes, extra }), info.finalShape);
}

function split(call: Call): Traced[] {
  const { g, util } = call;
  const x = input(call, 'x');
  const attrs = call.attrs as SplitVAttrs;
  const axis = fromFront(attrs.axis, x.shape.length);
  const sizes = util.prepareSplitSize({ shape: [...x.shape] } as never, attrs.numOrSizeSplits, axis);
  let at = 0;
  return sizes.map((size) => {
    const begin = x.shape.map((_, i) => (i === axis ? at : 0));
    at += size;
    return sliceBox(
      g,
      x,
      begin,
      x.shape.map((d, i) => (i === axis ? size : d)),
    );
  });
}

function pack(call: Call): Traced {
  const { g } = call;
  const parts = inputList(call);
  const axis = fromFront((call.attrs as PackAttrs).axis, parts[0]!.shape.length + 1);
  const wide = parts.map((p) => reshape(g, p, [...p.shape.slice(0, axis), 1, ...p.shape.slice(axis)]));
  if (wide.length === 1) return wide[0]!;
  const shape = wide[0]!.shape.map((d, i) => (i === axis ? wide.length : d));
  return emit(g, 'Concat', wide, { shape, attributes: { axis } });
}

function unpack(call: Call): Traced[] {
  const { g } = call;
  const x = input(call, 'value');
  const axis = fromFront((call.attrs as UnpackAttrs).axis, x.shape.length);
  const rest = x.shape.filter((_, i) => i !== axis);
  return Array.from({ length: x.shape[axis]! }, (_, index) => {
    const begin = x.shape.map((__, i) => (i === axis ? index : 0));
    const size = x.shape.map((d, i) => (i === axis ? 1 : d));
    return reshape(g, sliceBox(g, x, begin, size), rest);
  });
}

const padsOf = (paddings: readonly (readonly number[])[]): number[] => [
  ...paddings.map((p) => p[0]!),
  ...paddings.map((p) => p[1]!),
];
const padded = (x: Traced, paddings: readonly (readonly number[])[]): number[] =>
  x.shape.map((d, i) => d + paddings[i]![0]! + paddings[i]![1]!);

function pad(call: Call): Traced {
  const { g } = call;
  const x = input(call, 'x');
  const { paddings, constantValue } = call.attrs as PadV2Attrs;
  if (paddings.every(([a, b]) => a === 0 && b === 0)) return x;
  const extra = [g.ints(padsOf(paddings)), scalarLike(g, x, constantValue).value];
  return emit(g, 'Pad', [x], { shape: padded(x, paddings), extra });
}

/** `reflect` leaves the edge out, `symmetric` repeats it; ONNX has the first only, so rows come by index, axis by axis. */
function mirrorPad(call: Call): Traced {
  const { g } = call;
  const x = input(call, 'x');
  const { paddings, mode } = call.attrs as MirrorPadAttrs;
  const offset = mode === 'reflect' ? 0 : 1;
  return paddings.reduce<Traced>((t, [before, after], axis) => {
    if (before === 0 && after === 0) return t;
    const length = t.shape[axis]!;
    const indices = Array.from({ length: before + length + after }, (_, i) => {
      const at = i - before;
      if (at < 0) return -at - offset;
      return at < length ? at : 2 * (length - 1) - at + offset;
    });
    const shape = t.shape.map((d, i) => (i === axis ? indices.length : d));
    return emit(g, 'Gather', [t], { shape, extra: [g.ints(indices)], attributes: { axis } });
  }, x);
}

function tile(call: Call): Traced {
  const { g } = call;
  const x = input(call, 'x');
  const { reps } = call.attrs as TileAttrs;
  if (reps.every((r) => r === 1)) return x;
  return emit(g, 'Tile', [x], { shape: x.shape.map((d, i) => d * reps[i]!), extra: [g.ints(reps)] });
}

function reverse(call: Call): Traced {
  const { g } = call;
  const x = input(call, 'x');
  const axes = [(call.attrs as ReverseAttrs).dims].flat().map((a) => fromFront(a, x.shape.length));
  if (axes.length === 0) return x;
  const ofAxes = (value: number): number => g.ints(axes.map(() => value));
  return emit(g, 'Slice', [x], { extra: [ofAxes(-1), ofAxes(BEFORE_FIRST), g.ints(axes), ofAxes(-1)] });
}

function spaceToBatch(call: Call): Traced {
  const { g, util } = call;
  const x = input(call, 'x');
  const { blockShape, paddings } = call.attrs as SpaceToBatchNDAttrs;
  const blocks = blockShape.reduce((a, b) => a * b);
  const all = [[0, 0], ...paddings, ...x.shape.slice(1 + blockShape.length).map(() => [0, 0])];
  const wide = all.some(([a, b]) => a !== 0 || b !== 0)
    ? emit(g, 'Pad', [x], { shape: padded(x, all), extra: [g.ints(padsOf(all)), scalarLike(g, x, 0).value] })
    : x;
  const cut = reshape(g, wide, util.getReshaped([...wide.shape], blockShape, blocks, false));
  const permuted = transpose(g, cut, util.getPermuted(cut.shape.length, blockShape.length, false));
  return reshape(g, permuted, util.getReshapedPermuted([...wide.shape], blockShape, blocks, false));
}

function batchToSpace(call: Call): Traced {
  const { g, util } = call;
  const x = input(call, 'x');
  const { blockShape, crops } = call.attrs as BatchToSpaceNDAttrs;
  const blocks = blockShape.reduce((a, b) => a * b);
  const cut = reshape(g, x, util.getReshaped([...x.shape], blockShape, blocks));
  const permuted = transpose(g, cut, util.getPermuted(cut.shape.length, blockShape.length));
  const joined = reshape(g, permuted, util.getReshapedPermuted([...x.shape], blockShape, blocks));
  const crop = (axis: number): readonly number[] => crops[axis - 1] ?? [0, 0];
  const begin = joined.shape.map((_, axis) => crop(axis)[0]!);
  const size = joined.shape.map((d, axis) => d - crop(axis)[0]! - crop(axis)[1]!);
  return sliceBox(g, joined, begin, size);
}

function fill(call: Call): Traced {
  const { shape, value, dtype } = call.attrs as FillAttrs;
  if (typeof value === 'string' || dtype === 'string') return call.unsupported('of strings');
  return filled(call.g, shape, value, dtype === 'int32' || dtype === 'bool' ? dtype : 'float32');
}

function range(call: Call): Traced {
  const { start, stop, step, dtype } = call.attrs as RangeAttrs;
  const values = Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, i) => start + i * step);
  return constantTensor(
    call.g,
    [values.length],
    dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values),
  );
}

function linSpace(call: Call): Traced {
  const { start, stop, num } = call.attrs as LinSpaceAttrs;
  const step = num > 1 ? (stop - start) / (num - 1) : 0;
  return constantTensor(
    call.g,
    [num],
    Float32Array.from({ length: num }, (_, i) => start + i * step),
  );
}

export const layoutKernels: Kernels = {
  Reshape: reshapeKernel,
  ExpandDims: expandDims,
  Transpose: (call) => transpose(call.g, input(call, 'x'), (call.attrs as TransposeAttrs).perm),
  Concat: concat,
  Slice: slice,
  StridedSlice: stridedSlice,
  SplitV: split,
  Pack: pack,
  Unpack: unpack,
  PadV2: pad,
  MirrorPad: mirrorPad,
  Tile: tile,
  Reverse: reverse,
  FlipLeftRight: (call) => {
    const x = input(call, 'image');
    return reverse({ ...call, inputs: { x }, attrs: { dims: [2] } });
  },
  SpaceToBatchND: spaceToBatch,
  BatchToSpaceND: batchToSpace,
  Fill: fill,
  Range: range,
  LinSpace: linSpace,
};
