/**
 * Moves transposes downwards through operators that do not care about the order of axes, until they meet their inverse and
 * both vanish. A region of convolutions so stays in one layout, with transposes at its border only.
 */
import { ABSENT, type Graph, sameShape, type Value, type ValueType } from '../onnx/graph.ts';
import { BROADCASTING, UNARY } from './operators.ts';
import { rebuild, type Site } from './rebuild.ts';

const REDUCTIONS = new Set('ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceSumSquare'.split(' '));

type Perm = readonly number[];

const permuted = <T>(list: readonly T[], perm: Perm): T[] => perm.map((p) => list[p]!);
const inverse = (perm: Perm): number[] => perm.map((_, i) => perm.indexOf(i));
const isIdentity = (perm: Perm): boolean => perm.every((p, i) => p === i);

const permOf = ({ producer }: Site, value: Value): Perm | undefined => {
  const node = producer(value);
  return node?.op === 'Transpose' ? (node.attributes.perm as Perm) : undefined;
};

function transpose({ g }: Site, value: Value, perm: Perm): Value {
  const { dtype, shape } = g.typeOf(value);
  return g.node('Transpose', [value], { dtype, shape: permuted(shape, perm) }, { perm });
}

/** A transpose of axes of size one only moves no element. */
function movesNothing(shape: readonly number[], perm: Perm): boolean {
  const real = perm.filter((p) => shape[p] !== 1);
  return real.every((p, i) => i === 0 || p > real[i - 1]!);
}

/** Transpose of a transpose is one, or none. */
function merged(site: Site): Value | undefined {
  const { g, node } = site;
  const perm = node.attributes.perm as Perm;
  const [x] = node.inputs as [Value];
  const before = permOf(site, x);
  const source = before ? site.producer(x)!.inputs[0]! : x;
  const all = before ? permuted(before, perm) : perm;
  if (isIdentity(all)) return source;
  const { dtype, shape } = g.typeOf(source);
  if (movesNothing(shape, all)) {
    const to = permuted(shape, all);
    return g.node('Reshape', [source, g.ints(to)], { dtype, shape: to });
  }
  return before ? transpose(site, source, all) : undefined;
}

/** An operand of lower rank or with axes of one, seen from under the transpose. */
function broadcastOperand(site: Site, value: Value, perm: Perm): Value {
  const { g } = site;
  const { dtype, shape } = g.typeOf(value);
  if (shape.length === 0) return value;
  const full = [...Array<number>(perm.length - shape.length).fill(1), ...shape];
  const widened =
    full.length === shape.length ? value : g.node('Reshape', [value, g.ints(full)], { dtype, shape: full });
  const back = inverse(perm);
  if (!movesNothing(full, back)) return transpose(site, widened, back);
  const to = permuted(full, back);
  return g.node('Reshape', [widened, g.ints(to)], { dtype, shape: to });
}

/** op(Tᵖ a, Tᵖ b) → Tᵖ op(a, b). Operands without the transpose get its inverse if they are small. */
function sunkBroadcast(site: Site, type: ValueType): Value | undefined {
  const { g, node } = site;
  const rank = type.shape.length;
  const full = (value: Value): boolean => sameShape(g.typeOf(value).shape, type.shape);
  const perms = node.inputs.map((value) => permOf(site, value));
  const perm = perms.find((p, i) => p && full(node.inputs[i]!));
  if (!perm || perm.length !== rank) return undefined;
  const movable = node.inputs.every((value, i) => perms[i]?.join() === perm.join() || !full(value));
  if (!movable) return undefined;
  const inputs = node.inputs.map((value, i) =>
    perms[i]?.join() === perm.join() ? site.producer(value)!.inputs[0]! : broadcastOperand(site, value, perm),
  );
  const shape = permuted(type.shape, inverse(perm));
  return transpose(site, g.node(node.op, inputs, { dtype: type.dtype, shape }, node.attributes), perm);
}

function sunkUnary(site: Site, type: ValueType): Value | undefined {
  const { g, node } = site;
  const perm = permOf(site, node.inputs[0]!);
  if (!perm) return undefined;
  const source = site.producer(node.inputs[0]!)!.inputs[0]!;
  const { shape } = g.typeOf(source);
  const inner = g.node(node.op, [source, ...node.inputs.slice(1)], { dtype: type.dtype, shape }, node.attributes);
  return transpose(site, inner, perm);
}

/** reduce(Tᵖ x, axes) → Tᵖ′ reduce(x, p(axes)), where what is left over often needs no transpose. */
function sunkReduction(site: Site, type: ValueType): Value | undefined {
  const { g, node, constant } = site;
  const perm = permOf(site, node.inputs[0]!);
  const axes = constant(node.inputs[1] ?? ABSENT);
  if (!perm || !axes) return undefined;
  const reduced = Array.from(axes.data as BigInt64Array, (axis) => perm[Number(axis)]!);
  const source = site.producer(node.inputs[0]!)!.inputs[0]!;
  const { shape } = g.typeOf(source);
  const keep = node.attributes.keepdims !== 0; // 1 where it is not said
  const inner = shape.flatMap((d, i) => (reduced.includes(i) ? (keep ? [1] : []) : [d]));
  const result = g.node(
    node.op,
    [source, g.ints([...reduced].sort((a, b) => a - b))],
    { dtype: type.dtype, shape: inner },
    node.attributes,
  );
  if (keep) return transpose(site, result, perm);
  const left = perm.filter((p) => !reduced.includes(p));
  const order = [...left].sort((a, b) => a - b);
  const rest = left.map((p) => order.indexOf(p));
  return isIdentity(rest) ? result : transpose(site, result, rest);
}

export function cancelTransposes(graph: Graph): Graph {
  return rebuild(graph, (site) => {
    const { node } = site;
    if (node.outputs.length > 1 || node.domain !== '') return undefined;
    const type = graph.types.get(node.outputs[0]!)!;
    let value: Value | undefined;
    if (node.op === 'Transpose') value = merged(site);
    else if (UNARY.has(node.op)) value = sunkUnary(site, type);
    else if (BROADCASTING.has(node.op)) value = sunkBroadcast(site, type);
    else if (REDUCTIONS.has(node.op)) value = sunkReduction(site, type);
    return value === undefined ? undefined : [value];
  });
}
