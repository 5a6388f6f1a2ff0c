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
    /** [m, k] · [k, n] */
    matMul: (a: Value, b: Value) => node('MatMul', [a, b], [shapeOf(a)[0]!, shapeOf(b)[1]!]),
    reshape: (x: Value, shape: readonly number[]) => node('Reshape', [x, g.ints(shape)], shape),
    sum: (x: Value, axes: readonly number[], shape: readonly number[]) =>
      node('ReduceSum', [x, g.ints(axes)], shape, { keepdims: 0 }),
    scalar: (value: number) => g.float(value),
  };
}

export type Algebra = ReturnType<typeof algebra>;

/** The passes over activations that normalisation takes; all else is arithmetic on small tensors. */
export interface Passes {
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

/** Channels by groups, a factor where a channel is of the group: products with it sum over groups, or spread over their channels. */
function membership({ g }: Site, channels: number, groups: number) {
  const table = (
    shape: readonly [number, number],
    factor: number,
    member: (i: number, j: number) => boolean,
  ): Value => {
    const [rows, columns] = shape;
    const data = Float32Array.from({ length: rows * columns }, (_, k) =>
      member(Math.floor(k / columns), k % columns) ? factor : 0,
    );
    return g.constant({ dtype: 'float32', shape, data });
  };
  const size = channels / groups;
  return {
    /** [c, groups] */
    sums: (factor: number) => table([channels, groups], factor, (c, group) => Math.floor(c / size) === group),
    /** [groups, c] */
    spread: (factor: number) => table([groups, channels], factor, (group, c) => Math.floor(c / size) === group),
  };
}

/** → y, mean and 1/√(var + ε) per example and group. Products of small matrices take less time than sums and expansions. */
function groupNorm(site: Site, l: Algebra, p: Passes): Value[] {
  const [given, scale, offset] = site.node.inputs as [Value, Value, Value];
  const [n, c, h, w] = l.shapeOf(given) as Size4;
  const { groups, epsilon } = site.node.attributes as { groups: number; epsilon: { float: number } };
  const { sums, spread } = membership(site, c, groups);
  const x = p.enter(given);
  const [means, squares] = [p.mean(x), p.dot(x, x)]; // next to each other, so that one pass can give both
  const mean = l.matMul(l.reshape(means, [n, c]), sums(groups / c));
  const square = l.matMul(l.reshape(squares, [n, c]), sums(groups / (c * h * w)));
  const variance = l.node('Max', [l.sub(square, l.mul(mean, mean)), l.scalar(0)], [n, groups]);
  const deviation = l.node('Sqrt', [l.add(variance, l.scalar(epsilon.float))], [n, groups]);
  const inverse = l.node('Reciprocal', [deviation], [n, groups]);
  const scales = l.mul(spread(1), scale); // [groups, c]
  const a = l.matMul(inverse, scales);
  const b = l.sub(offset, l.matMul(l.mul(mean, inverse), scales));
  return [p.leave(p.affine(x, l.reshape(a, [n * c]), l.reshape(b, [n * c]))), mean, inverse];
}

/** dx = γr·dy − r²m₂·x + (r²m₂μ − r·m₁), with m₁ = mean(γ·dy) and m₂ = mean(γ·dy·x̂) over the group. */
function groupNormGrad(site: Site, l: Algebra, p: Passes): Value[] {
  const [givenDy, givenX, mean, inverse, scale] = site.node.inputs as [Value, Value, Value, Value, Value];
  const [n, c, h, w] = l.shapeOf(givenX) as Size4;
  const { groups } = site.node.attributes as { groups: number };
  const { sums, spread } = membership(site, c, groups);
  const positions = h * w;
  const [dy, x] = [p.enter(givenDy), p.enter(givenX)];
  const [means, dots] = [p.mean(dy), p.dot(dy, x)];
  // means of dy and of dy·x̂ over positions: [n, c]
  const first = l.reshape(means, [n, c]);
  const centre = l.mul(first, l.matMul(mean, spread(positions)));
  const product = l.sub(l.reshape(dots, [n, c]), centre);
  const second = l.mul(product, l.matMul(inverse, spread(1 / positions)));
  const weights = l.mul(sums(groups / c), l.reshape(scale, [c, 1])); // [c, groups]
  const slope = l.mul(l.mul(inverse, inverse), l.matMul(second, weights));
  const shift = l.sub(l.mul(slope, mean), l.mul(inverse, l.matMul(first, weights)));
  const flat = (value: Value): Value => l.reshape(value, [n * c]);
  const fromX = p.affine(x, flat(l.matMul(slope, spread(-1))), flat(l.matMul(shift, spread(1))));
  const direct = l.matMul(inverse, l.mul(spread(1), scale));
  const examples = site.g.constant({ dtype: 'float32', shape: [1, n], data: Float32Array.of(positions) });
  const total = (value: Value): Value => l.reshape(l.matMul(examples, value), [c]);
  return [p.leave(p.affine(dy, flat(direct), undefined, fromX)), total(second), total(first)];
}

/** The rewrite, with the passes that are handed in. */
export const lowerNormalisationBy =
  (passesOf: (site: Site, l: Algebra) => Passes): Rewrite =>
  (graph: Graph) =>
    rebuild(graph, (site) => {
      const { node } = site;
      if (node.domain !== 'tacit' || !node.op.startsWith('GroupNorm')) return undefined;
      const l = algebra(site);
      const passes = passesOf(site, l);
      return node.op === 'GroupNorm' ? groupNorm(site, l, passes) : groupNormGrad(site, l, passes);
    });

/** The rewrite with ONNX's own passes, or those of the blocked layout where channels come in whole blocks; 0: never. */
export const lowerNormalisation = (block = 0): Rewrite =>
  lowerNormalisationBy((site, l) => {
    const [, channels] = l.shapeOf(site.node.inputs[0]!) as Size4;
    return isBlocked(channels, block) ? blockedPasses(blockedLayout(site.g, block)) : plainPasses(site, l);
  });
