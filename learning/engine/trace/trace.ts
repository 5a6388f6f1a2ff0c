/**
 * From a program to a graph. The program runs twice on the trace backend; if the two graphs differ, something random or
 * scheduled was baked in, and the error names the op.
 */
import * as tf from '@tensorflow/tfjs';
import { TacitError } from '../../../protocol/errors.ts';
import type { Program, Tensors } from '../engine.ts';
import type { Constant, Graph, Node } from '../onnx/graph.ts';
import { TRACE_BACKEND, traceBackend } from './backend.ts';
import { traceOps } from './composites.ts';

/** Runs with the trace backend active and puts back what was active before. */
function onTraceBackend<T>(body: () => T): T {
  const engine = tf.engine();
  const { backendName } = engine;
  traceBackend();
  // Synchronous although it returns a promise: the backend's factory is.
  void engine.setBackend(TRACE_BACKEND);
  try {
    return body();
  } finally {
    if (backendName) void engine.setBackend(backendName);
  }
}

function traceOnce(program: Program, batch: number | undefined): Graph {
  const backend = traceBackend();
  const graph = backend.begin(program.name);
  let outputs: Graph['outputs'] = [];
  tf.tidy(() => {
    const inputs: Record<string, tf.Tensor> = {};
    for (const [name, spec] of Object.entries(program.inputs)) {
      const shape = spec.shape.map((d) => (d === -1 ? symbolicSize(name, batch) : d));
      const value = graph.input(name, { dtype: spec.dtype, shape });
      const info = backend.hold({ value, shape, dtype: spec.dtype });
      inputs[name] = tf.engine().makeTensorFromTensorInfo(info, backend);
    }
    const results = program.run(traceOps(), inputs as Tensors);
    outputs = Object.entries(results).map(([name, tensor]) => ({ name, value: backend.tracedOf(tensor).value }));
  });
  return graph.finish(outputs);
}

function symbolicSize(name: string, batch: number | undefined): number {
  if (batch === undefined) throw new RangeError(`${name} has a symbolic batch; say which size to trace`);
  return batch;
}

const sameData = (a: Constant, b: Constant): boolean =>
  a.data.length === b.data.length && a.data.every((x: number | bigint, i: number) => Object.is(x, b.data[i]));

/** Everything about a node but its origin. */
const signature = ({ op, domain, inputs, outputs, attributes }: Node): string =>
  JSON.stringify([op, domain, inputs, outputs, attributes]);

/** @throws TacitError engine/unsupported naming the op where two traces of one program part */
function assertSame(first: Graph, second: Graph): void {
  const bakedIn = (op: string): TacitError =>
    new TacitError('engine/unsupported', `Two traces of ${first.name} differ at ${op}: a number is baked in`, {
      where: op,
      hint: 'Random numbers must come in through draws, schedules through scalars.',
    });
  for (const [value, constant] of first.constants) {
    const other = second.constants.get(value);
    if (other && sameData(constant, other)) continue;
    const origin = first.constantOrigins.get(value) ?? second.constantOrigins.get(value);
    throw bakedIn(origin || 'a constant');
  }
  for (const [i, node] of first.nodes.entries()) {
    const other = second.nodes[i];
    if (!other || signature(node) !== signature(other)) throw bakedIn(node.origin || node.op);
  }
  if (second.nodes.length !== first.nodes.length) throw bakedIn(second.nodes[first.nodes.length]?.origin ?? '');
  if (JSON.stringify(second.outputs) !== JSON.stringify(first.outputs)) throw bakedIn('its outputs');
}

export interface TraceOptions {
  /** The size that stands for a symbolic batch axis. */
  readonly batch?: number;
}

/**
 * Traces a program: inputs and outputs keep its names, state is input and output alike.
 * @throws TacitError engine/unsupported for a kernel that is not covered, a value that is read, a number that is baked in
 */
export function traceProgram(program: Program, { batch }: TraceOptions = {}): Graph {
  return onTraceBackend(() => {
    const first = traceOnce(program, batch);
    assertSame(first, traceOnce(program, batch));
    return first;
  });
}
