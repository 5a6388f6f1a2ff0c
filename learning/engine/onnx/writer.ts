/**
 * Writes a graph as an ONNX ModelProto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
 * Opset and IR version are pinned to what ONNX Runtime 1.30 and the ONNX checker accept.
 */
import { type NamedArrays, sizeOf } from '../../../protocol/tensors.ts';
import {
  ABSENT,
  type Attribute,
  type Constant,
  type ElementType,
  expand,
  type Graph,
  type Node,
  type Value,
} from './graph.ts';
import { type Message, message } from './protobuf.ts';

export const OPSET = 21;
const IR_VERSION = 10;

const ELEMENT = { float32: 1, int32: 6, int64: 7, bool: 9 } as const satisfies Record<ElementType, number>;
/** AttributeProto.AttributeType. */
const ATTRIBUTE = { float: 1, int: 2, string: 3, ints: 7 } as const;
/** Uniform constants with more elements are made at load by ConstantOfShape. */
const INLINE_ELEMENTS = 64;

export interface WriteOptions {
  /** Dimensions written as a name instead of a number: value → axis → name. */
  readonly symbolic?: ReadonlyMap<Value, Readonly<Record<number, string>>>;
  /** Inputs that are numbers of the file, by name: the weights of an exported model. */
  readonly weights?: NamedArrays;
  /** Inputs and outputs by their plain names; for a graph that carries nothing. */
  readonly plainNames?: boolean;
  /** What a reader finds beside the graph, key by key. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The model in words. */
  readonly description?: string;
}

function attributeProto(name: string, value: Attribute): Message {
  const proto = message().text(1, name);
  if (typeof value === 'number') return proto.int(3, value).int(20, ATTRIBUTE.int);
  if (typeof value === 'string') return proto.text(4, value).int(20, ATTRIBUTE.string);
  if ('float' in value) return proto.float(2, value.float).int(20, ATTRIBUTE.float);
  return proto.ints(8, value).int(20, ATTRIBUTE.ints);
}

function tensorProto(name: string, constant: Constant): Message {
  const data = expand(constant);
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message().ints(1, constant.shape).int(2, ELEMENT[constant.dtype]).text(8, name).bytes(9, raw);
}

function valueInfo(name: string, dtype: ElementType, shape: readonly number[], names: Record<number, string>): Message {
  const dims = message();
  shape.forEach((size, axis) => {
    const symbol = names[axis];
    dims.message(1, symbol === undefined ? message().int(1, size) : message().text(2, symbol));
  });
  const tensor = message().int(1, ELEMENT[dtype]).message(2, dims);
  return message().text(1, name).message(2, message().message(1, tensor));
}

function nodeProto(
  node: Pick<Node, 'op' | 'domain' | 'attributes'>,
  from: string[],
  to: string[],
  name: string,
): Message {
  const proto = message();
  for (const input of from) proto.text(1, input);
  for (const output of to) proto.text(2, output);
  proto.text(3, name).text(4, node.op);
  for (const [key, value] of Object.entries(node.attributes)) proto.message(5, attributeProto(key, value));
  return node.domain === '' ? proto : proto.text(7, node.domain);
}

interface Prefixes {
  readonly input: string;
  readonly output: string;
}
const prefixesOf = ({ plainNames }: WriteOptions): Prefixes =>
  plainNames ? { input: '', output: '' } : { input: 'in:', output: 'out:' };

/** Names of values: an input's own, an output's own where it is free, a number otherwise. */
function nameValues(graph: Graph, { input, output }: Prefixes): (value: Value) => string {
  const names = new Map<Value, string>(graph.inputs.map(({ name, value }) => [value, `${input}${name}`]));
  for (const { name, value } of graph.outputs)
    if (!names.has(value) && !graph.constants.has(value)) names.set(value, `${output}${name}`);
  return (value) => (value === ABSENT ? '' : (names.get(value) ?? `v${value}`));
}

/** A uniform constant as a node, so that the file does not hold a million equal numbers. */
function constantNode(name: string, constant: Constant, graphProto: Message): void {
  const shapeName = `${name}.shape`;
  const shape: Constant = {
    dtype: 'int64',
    shape: [constant.shape.length],
    data: BigInt64Array.from(constant.shape, (d) => BigInt(d)),
  };
  graphProto.message(5, tensorProto(shapeName, shape));
  const fill = message()
    .text(1, 'value')
    .message(5, tensorProto('', { ...constant, shape: [1] }))
    .int(20, 4);
  graphProto.message(
    1,
    message().text(1, shapeName).text(2, name).text(3, name).text(4, 'ConstantOfShape').message(5, fill),
  );
}

function writeGraph(graph: Graph, options: WriteOptions): Message {
  const { symbolic, weights = {} } = options;
  const prefixes = prefixesOf(options);
  const nameOf = nameValues(graph, prefixes);
  const proto = message();
  const used = new Set([...graph.nodes.flatMap((node) => node.inputs), ...graph.outputs.map(({ value }) => value)]);
  for (const [value, constant] of graph.constants) {
    if (!used.has(value)) continue;
    const uniform = constant.data.length === 1 && sizeOf(constant.shape) > INLINE_ELEMENTS;
    if (uniform) constantNode(nameOf(value), constant, proto);
    else proto.message(5, tensorProto(nameOf(value), constant));
  }
  graph.nodes.forEach((node, index) => {
    const label = `${node.origin || node.op}#${index}`;
    proto.message(1, nodeProto(node, node.inputs.map(nameOf), node.outputs.map(nameOf), label));
  });
  proto.text(2, graph.name);
  const info = (name: string, value: Value): Message => {
    const { dtype, shape } = graph.types.get(value)!;
    return valueInfo(name, dtype, shape, symbolic?.get(value) ?? {});
  };
  for (const { name, value } of graph.inputs) {
    const weight = Object.hasOwn(weights, name) ? weights[name] : undefined;
    if (weight) proto.message(5, tensorProto(nameOf(value), weight));
    else proto.message(11, info(nameOf(value), value));
  }
  graph.outputs.forEach(({ name, value }, index) => {
    const target = `${prefixes.output}${name}`;
    if (nameOf(value) !== target)
      proto.message(1, message().text(1, nameOf(value)).text(2, target).text(3, `output#${index}`).text(4, 'Identity'));
    proto.message(12, info(target, value));
  });
  return proto;
}

/**
 * The bytes of the model. Inputs are called `in:<name>` and outputs `out:<name>`, since a carried tensor is both, unless
 * `plainNames` says otherwise.
 * @throws RangeError when a node of our own domain was left in the graph
 */
export function writeModel(graph: Graph, options: WriteOptions = {}): Uint8Array {
  const left = graph.nodes.find((node) => node.domain === 'tacit');
  if (left) throw new RangeError(`${left.op} was not lowered`);
  const { metadata = {}, description } = options;
  const model = message().int(1, IR_VERSION).text(2, 'tacit').message(7, writeGraph(graph, options));
  if (description !== undefined) model.text(6, description);
  for (const [key, value] of Object.entries(metadata)) model.message(14, message().text(1, key).text(2, value));
  const domains = new Set<string>(['', ...graph.nodes.map((node) => node.domain)]);
  for (const domain of domains)
    model.message(
      8,
      message()
        .text(1, domain)
        .int(2, domain === '' ? OPSET : 1),
    );
  return model.finish();
}
