/**
 * Group normalisation and its closed-form gradient in few passes over the activations. Per-channel sums give everything
 * else as small tensors; what remains is one affine map per example and channel, y = a·x + b, which ONNX's
 * BatchNormalization computes in one pass when examples and channels are taken together.
 */
import type { Graph, Value } from '../onnx/graph.ts';
import { rebuild, type Site } from './rebuild.ts';

type Size4 = readonly [number, number, number, number];

/** Short names over float32 values. */
function algebra({ g }: Site) {
  const node = (op: string, inputs: Value[], shape: readonly number[], attributes = {}): Value =>
    g.node(op, inputs, { dtype: 'float32', shape }, attributes);
  const shapeOf = (value: Value): readonly number[] => g.typeOf(value).shape;
  const wide = (a: Value, b: Value): readonly number[] => {
    const [p, q] = [shapeOf(a), shapeOf(b)];
    if (p.length !== q.length) return p.length > q.length ? p : q;
    return p.map((d, i) => Math.max(d, q[i]!));
  };
  return {
    node,
    shapeOf,
    add: (a: Value, b: Value) => node('Add', [a, b], wide(a, b)),
    sub: (a: Value, b: Value) => node('Sub', [a, b], wide(a, b)),
    mul: (a: Value, b: Value) => node('Mul', [a, b], wide(a, b)),
    reshape: (x: Value, shape: readonly number[]) => node('Reshape', [x, g.ints(shape)], shape),
    sum: (x: Value, axes: readonly number[], shape: readonly number[]) =>
      node('ReduceSum', [x, g.ints(axes)], shape, { keepdims: 0 }),
    scalar: (value: number) => g.float(value),
  };
}

type Algebra = ReturnType<typeof algebra>;

/** a·x + b with a, b: [n·c] per example and channel; x: [n, c, h, w]. */
function affine(site: Site, x: Value, a: Value, b: Value): Value {
  const { g } = site;
  const l = algebra(site);
  const [n, c, h, w] = l.shapeOf(x) as Size4;
  const rows = n * c;
  const zeros = g.constant({ dtype: 'float32', shape: [rows], data: Float32Array.of(0) });
  const ones = g.constant({ dtype: 'float32', shape: [rows], data: Float32Array.of(1) });
  const flat = l.reshape(x, [1, rows, h * w]);
  const mapped = l.node('BatchNormalization', [flat, a, b, zeros, ones], [1, rows, h * w], { epsilon: { float: 0 } });
  return l.reshape(mapped, [n, c, h, w]);
}

/** [n, groups] → [n·c], each channel its group's value. */
function perChannel(site: Site, l: Algebra, value: Value, channels: number): Value {
  const { g } = site;
  const [n, groups] = l.shapeOf(value) as [number, number];
  const shape = [n, groups, channels / groups];
  const spread = l.node('Expand', [l.reshape(value, [n, groups, 1]), g.ints(shape)], shape);
  return l.reshape(spread, [n * channels]);
}

/** Tensors per channel [c] for all examples: [n·c]. */
function perExample(site: Site, l: Algebra, value: Value, n: number): Value {
  const { g } = site;
  const [c] = l.shapeOf(value) as [number];
  return l.reshape(l.node('Expand', [l.reshape(value, [1, c]), g.ints([n, c])], [n, c]), [n * c]);
}

/** → y, mean and 1/√(var + ε) per example and group */
function groupNorm(site: Site): Value[] {
  const l = algebra(site);
  const [x, scale, offset] = site.node.inputs as [Value, Value, Value];
  const [n, c, h, w] = l.shapeOf(x) as Size4;
  const { groups, epsilon } = site.node.attributes as { groups: number; epsilon: { float: number } };
  const count = (c / groups) * h * w;
  const flat = l.reshape(x, [n * groups, count]);
  const mean = l.node('ReduceMean', [flat, site.g.ints([1])], [n * groups], { keepdims: 0 });
  const squares = l.node('ReduceSumSquare', [flat, site.g.ints([1])], [n * groups], { keepdims: 0 });
  const spread = l.sub(l.mul(squares, l.scalar(1 / count)), l.mul(mean, mean));
  const variance = l.node('Max', [spread, l.scalar(0)], [n * groups]);
  const deviation = l.node('Sqrt', [l.add(variance, l.scalar(epsilon.float))], [n * groups]);
  const inverse = l.node('Reciprocal', [deviation], [n * groups]);
  const moments = [mean, inverse].map((value) => l.reshape(value, [n, groups])) as [Value, Value];
  const [m, r] = moments.map((value) => perChannel(site, l, value, c)) as [Value, Value];
  const a = l.mul(r, perExample(site, l, scale, n));
  const b = l.sub(perExample(site, l, offset, n), l.mul(m, a));
  return [affine(site, x, a, b), ...moments];
}

/** dx = γr·dy − r²m₂·x + (r²m₂μ − r·m₁), with m₁ = mean(γ·dy) and m₂ = mean(γ·dy·x̂) over the group. */
function groupNormGrad(site: Site): Value[] {
  const l = algebra(site);
  const [dy, x, mean, inverse, scale] = site.node.inputs as [Value, Value, Value, Value, Value];
  const [n, c, h, w] = l.shapeOf(x) as Size4;
  const { groups } = site.node.attributes as { groups: number };
  const count = (c / groups) * h * w;
  const rows = [n * c, h * w] as const;
  const flatDy = l.reshape(dy, rows);
  const sumDy = l.sum(flatDy, [1], [n * c]);
  const sumDyX = l.sum(l.mul(flatDy, l.reshape(x, rows)), [1], [n * c]);
  const [m, r] = [mean, inverse].map((value) => perChannel(site, l, value, c)) as [Value, Value];
  // Σ dy·x̂ per example and channel
  const sumDyHat = l.mul(l.sub(sumDyX, l.mul(m, sumDy)), r);
  const gamma = perExample(site, l, scale, n);
  const groupMean = (value: Value): Value => {
    const grouped = l.sum(l.reshape(l.mul(value, gamma), [n, groups, c / groups]), [2], [n, groups]);
    return perChannel(site, l, l.mul(grouped, l.scalar(1 / count)), c);
  };
  const [m1, m2] = [groupMean(sumDy), groupMean(sumDyHat)];
  const slope = l.mul(l.mul(r, r), m2);
  const fromX = affine(site, x, l.node('Neg', [slope], [n * c]), l.sub(l.mul(slope, m), l.mul(r, m1)));
  const zeros = site.g.constant({ dtype: 'float32', shape: [n * c], data: Float32Array.of(0) });
  const fromDy = affine(site, dy, l.mul(gamma, r), zeros);
  const overExamples = (value: Value): Value => l.sum(l.reshape(value, [n, c]), [0], [c]);
  return [l.add(fromDy, fromX), overExamples(sumDyHat), overExamples(sumDy)];
}

export function lowerNormalisation(graph: Graph): Graph {
  return rebuild(graph, (site) => {
    if (site.node.domain !== 'tacit') return undefined;
    if (site.node.op === 'GroupNorm') return groupNorm(site);
    if (site.node.op === 'GroupNormGrad') return groupNormGrad(site);
    return undefined;
  });
}
