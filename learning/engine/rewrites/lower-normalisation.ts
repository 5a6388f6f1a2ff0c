/**
 * Group normalisation and its closed-form gradient in few passes over the activations. Per-channel sums give everything
 * else as small tensors; what remains is one affine map per example and channel, y = a·x + b, which ONNX's
 * BatchNormalization computes in one pass when examples and channels are taken together.
 */
import type { Graph, Value } from '../onnx/graph.ts';
import { type BlockedLayout, blockedLayout, isBlocked, type Size4 } from './blocked-layout.ts';
import { type Rewrite, rebuild, type Site } from './rebuild.ts';

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

/** The passes over activations that normalisation takes; all else is arithmetic on small tensors. */
interface Passes {
  /** Activations as the passes want them, and back. */
  enter(x: Value): Value;
  leave(x: Value): Value;
  /** Mean per example and channel: [n·c] */
  mean(x: Value): Value;
  /** Σ x·y per example and channel: [n·c] */
  dot(x: Value, y: Value): Value;
  /** a·x + b with a, b: [n·c], plus what is given. */
  affine(x: Value, a: Value, b?: Value, plus?: Value): Value;
}

const blockedPasses = (l: BlockedLayout): Passes => ({ ...l, enter: l.toBlocked, leave: l.fromBlocked });

/** Passes in ONNX's own layout: BatchNormalization is the affine map, examples and channels taken together. */
function plainPasses({ g }: Site, l: Algebra): Passes {
  const planes = (x: Value): readonly [number, number] => {
    const [n, c, h, w] = l.shapeOf(x) as Size4;
    return [n * c, h * w];
  };
  const flat = (x: Value): Value => l.reshape(x, planes(x));
  return {
    enter: (x) => x,
    leave: (x) => x,
    mean: (x) => l.node('ReduceMean', [flat(x), g.ints([1])], [planes(x)[0]], { keepdims: 0 }),
    dot: (x, y) =>
      x === y
        ? l.node('ReduceSumSquare', [flat(x), g.ints([1])], [planes(x)[0]], { keepdims: 0 })
        : l.sum(l.mul(flat(x), flat(y)), [1], [planes(x)[0]]),
    affine: (x, a, b, plus) => {
      const [rows, positions] = planes(x);
      const filled = (value: number): Value =>
        g.constant({ dtype: 'float32', shape: [rows], data: Float32Array.of(value) });
      const inputs = [l.reshape(x, [1, rows, positions]), a, b ?? filled(0), filled(0), filled(1)];
      const mapped = l.node('BatchNormalization', inputs, [1, rows, positions], { epsilon: { float: 0 } });
      const y = l.reshape(mapped, l.shapeOf(x));
      return plus === undefined ? y : l.add(y, plus);
    },
  };
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

/** [n·c] → [n, groups], the sum over each group's channels times a factor. */
function perGroup(l: Algebra, value: Value, n: number, groups: number, factor: number): Value {
  const [rows] = l.shapeOf(value) as [number];
  const grouped = l.sum(l.reshape(value, [n, groups, rows / n / groups]), [2], [n, groups]);
  return l.mul(grouped, l.scalar(factor));
}

/** → y, mean and 1/√(var + ε) per example and group */
function groupNorm(site: Site, l: Algebra, p: Passes): Value[] {
  const [given, scale, offset] = site.node.inputs as [Value, Value, Value];
  const [n, c, h, w] = l.shapeOf(given) as Size4;
  const { groups, epsilon } = site.node.attributes as { groups: number; epsilon: { float: number } };
  const x = p.enter(given);
  const mean = perGroup(l, p.mean(x), n, groups, groups / c);
  const square = perGroup(l, p.dot(x, x), n, groups, groups / (c * h * w));
  const variance = l.node('Max', [l.sub(square, l.mul(mean, mean)), l.scalar(0)], [n, groups]);
  const deviation = l.node('Sqrt', [l.add(variance, l.scalar(epsilon.float))], [n, groups]);
  const inverse = l.node('Reciprocal', [deviation], [n, groups]);
  const [m, r] = [mean, inverse].map((value) => perChannel(site, l, value, c)) as [Value, Value];
  const a = l.mul(r, perExample(site, l, scale, n));
  const b = l.sub(perExample(site, l, offset, n), l.mul(m, a));
  return [p.leave(p.affine(x, a, b)), mean, inverse];
}

/** dx = γr·dy − r²m₂·x + (r²m₂μ − r·m₁), with m₁ = mean(γ·dy) and m₂ = mean(γ·dy·x̂) over the group. */
function groupNormGrad(site: Site, l: Algebra, p: Passes): Value[] {
  const [givenDy, givenX, mean, inverse, scale] = site.node.inputs as [Value, Value, Value, Value, Value];
  const [n, c, h, w] = l.shapeOf(givenX) as Size4;
  const { groups } = site.node.attributes as { groups: number };
  const [dy, x] = [p.enter(givenDy), p.enter(givenX)];
  const sumDy = l.mul(p.mean(dy), l.scalar(h * w));
  const [m, r] = [mean, inverse].map((value) => perChannel(site, l, value, c)) as [Value, Value];
  // Σ dy·x̂ per example and channel
  const sumDyHat = l.mul(l.sub(p.dot(dy, x), l.mul(m, sumDy)), r);
  const gamma = perExample(site, l, scale, n);
  const groupMean = (value: Value): Value =>
    perChannel(site, l, perGroup(l, l.mul(value, gamma), n, groups, groups / (c * h * w)), c);
  const [m1, m2] = [groupMean(sumDy), groupMean(sumDyHat)];
  const slope = l.mul(l.mul(r, r), m2);
  const fromX = p.affine(x, l.node('Neg', [slope], [n * c]), l.sub(l.mul(slope, m), l.mul(r, m1)));
  const dx = p.affine(dy, l.mul(gamma, r), undefined, fromX);
  const overExamples = (value: Value): Value => l.sum(l.reshape(value, [n, c]), [0], [c]);
  return [p.leave(dx), overExamples(sumDyHat), overExamples(sumDy)];
}

/** The rewrite, in the blocked layout where channels come in whole blocks; 0: never. */
export const lowerNormalisation =
  (block = 0): Rewrite =>
  (graph: Graph) =>
    rebuild(graph, (site) => {
      const { g, node } = site;
      if (node.domain !== 'tacit' || !node.op.startsWith('GroupNorm')) return undefined;
      const l = algebra(site);
      const [, channels] = l.shapeOf(node.inputs[0]!) as Size4;
      const passes = isBlocked(channels, block) ? blockedPasses(blockedLayout(g, block)) : plainPasses(site, l);
      return node.op === 'GroupNorm' ? groupNorm(site, l, passes) : groupNormGrad(site, l, passes);
    });
