/** Executes graphs, so that a rewrite can be checked to change nothing but the nodes. */
import * as ort from 'onnxruntime-node';
import { expect } from 'vitest';
import type { Graph, GraphBuilder, Value } from '../../../../../learning/engine/onnx/graph.ts';
import { float32Type, graphBuilder } from '../../../../../learning/engine/onnx/graph.ts';
import { writeModel } from '../../../../../learning/engine/onnx/writer.ts';
import { stream } from '../../../../../protocol/random.ts';
import { sizeOf } from '../../../../../protocol/tensors.ts';

/** A graph with float inputs of these shapes and one output. */
export function graphOf(
  shapes: Readonly<Record<string, readonly number[]>>,
  body: (g: GraphBuilder, inputs: Value[]) => Value,
): Graph {
  const g = graphBuilder('test');
  const inputs = Object.entries(shapes).map(([name, shape]) => g.input(name, float32Type(shape)));
  return g.finish([{ name: 'y', value: body(g, inputs) }]);
}

/** The output `y` for reproducible normal inputs. */
export async function runGraph(
  graph: Graph,
): Promise<{ readonly shape: readonly number[]; readonly data: Float32Array }> {
  const session = await ort.InferenceSession.create(writeModel(graph), { logSeverityLevel: 3 });
  const feeds = Object.fromEntries(
    graph.inputs.map(({ name, value }) => {
      const { shape } = graph.types.get(value)!;
      const rng = stream(1, name);
      const data = Float32Array.from({ length: sizeOf(shape) }, () => rng.normal());
      return [`in:${name}`, new ort.Tensor('float32', data, shape)];
    }),
  );
  const { 'out:y': y } = await session.run(feeds);
  await session.release();
  return { shape: y!.dims, data: y!.data as Float32Array };
}

/** How many nodes there are of each operator. */
export function operators(graph: Graph): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of graph.nodes) counts[op] = (counts[op] ?? 0) + 1;
  return counts;
}

/** @throws when two graphs of the same inputs give different outputs */
export async function expectSameResults(before: Graph, after: Graph): Promise<void> {
  const [a, b] = [await runGraph(before), await runGraph(after)];
  expect(b.shape).toEqual(a.shape);
  const largest = Math.max(1e-6, ...Array.from(a.data, Math.abs));
  a.data.forEach((x, i) => {
    expect(Math.abs(x - b.data[i]!)).toBeLessThan(1e-5 * largest);
  });
}
