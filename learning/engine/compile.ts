/** From a program to the bytes of an ONNX model: trace, rewrite, write. */
import type { NamedSpecs, TensorSpec } from '../../protocol/tensors.ts';
import type { Program } from './engine.ts';
import type { Graph, Value } from './onnx/graph.ts';
import { writeModel } from './onnx/writer.ts';
import { type OptimiseOptions, optimise } from './rewrites/optimise.ts';
import { traceProgram } from './trace/trace.ts';

/** A program as an ONNX model. */
export interface Model {
  readonly graph: Graph;
  readonly bytes: Uint8Array;
  readonly outputs: NamedSpecs;
}

/** The type of an output. @throws RangeError for types that no program returns */
export function specOf(graph: Graph, name: string, value: Value): TensorSpec {
  const { dtype, shape } = graph.types.get(value)!;
  if (dtype === 'float32' || dtype === 'int32') return { dtype, shape };
  throw new RangeError(`output ${name} is ${dtype}; a program returns float32 or int32`);
}

/**
 * The model of a program.
 * @throws TacitError engine/unsupported when the program cannot be traced
 */
export function compile(program: Program, options: OptimiseOptions = {}): Model {
  const graph = optimise(traceProgram(program), options);
  const outputs = Object.fromEntries(graph.outputs.map(({ name, value }) => [name, specOf(graph, name, value)]));
  return { graph, bytes: writeModel(graph), outputs };
}

/** The program with its symbolic batch axes set to one size. */
export function withBatch(program: Program, batch: number): Program {
  const inputs = Object.fromEntries(
    Object.entries(program.inputs).map(([name, spec]) => [
      name,
      { ...spec, shape: spec.shape.map((d) => (d === -1 ? batch : d)) },
    ]),
  );
  return { ...program, inputs };
}
