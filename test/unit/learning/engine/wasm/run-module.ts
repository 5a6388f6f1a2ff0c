/** Runs graphs on the kernels of learning/engine/wasm in Node, on one thread or on several. */
import { Worker } from 'node:worker_threads';
import type { Graph } from '../../../../../learning/engine/onnx/graph.ts';
import { instantiate } from '../../../../../learning/engine/wasm/executable.ts';
import { lower } from '../../../../../learning/engine/wasm/lower.ts';
import { compileModule } from '../../../../../learning/engine/wasm/module.ts';
import { hasRelaxedSimd } from '../../../../../learning/engine/wasm/support.ts';
import { ALONE, createTeam, type Helper, type Team } from '../../../../../learning/engine/wasm/team.ts';
import { stream } from '../../../../../protocol/random.ts';
import { sizeOf } from '../../../../../protocol/tensors.ts';

/** What thread-worker.ts does, for a worker of Node that has no loader for TypeScript. */
const THREAD = `
const { parentPort } = require('node:worker_threads');
const runs = new Map();
parentPort.on('message', (m) => {
  if (m.kind === 'greet') return parentPort.postMessage({ attached: 0 });
  if (m.kind === 'run') return runs.get(m.id)();
  if (m.kind !== 'attach') return;
  const { exports } = new WebAssembly.Instance(m.module, { env: { memory: m.memory } });
  runs.set(m.id, () => exports.run(m.thread));
  parentPort.postMessage({ attached: m.id });
});`;

function nodeHelper(): Helper {
  const worker = new Worker(THREAD, { eval: true });
  worker.unref();
  return {
    post: (message) => worker.postMessage(message),
    onMessage: (receive) => worker.on('message', receive),
    onFailure: (fail) => worker.on('error', fail),
    terminate: () => void worker.terminate(),
  };
}

/** A team over worker threads. */
export const nodeTeam = (threads: number): Promise<Team> => createTeam(threads, nodeHelper);

export interface Ran {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Runs a graph of float inputs, filled as run-graph.ts fills them, `times` times; the result by output's name. */
export async function runModule(graph: Graph, team: Team = ALONE, times = 1): Promise<Record<string, Ran>> {
  const lowered = lower(graph);
  const layout = compileModule(lowered, { threads: team.threads, relaxed: hasRelaxedSimd(), sleeps: true });
  const module = await WebAssembly.compile(layout.bytes);
  const { floats, run, release } = await instantiate({ layout, module, outputs: {} }, team);
  for (const { name, value } of lowered.inputs) {
    const rng = stream(1, name);
    const size = sizeOf(lowered.types.get(value)!.shape);
    floats.set(
      Float32Array.from({ length: size }, () => rng.normal()),
      layout.inputs[name]! / 4,
    );
  }
  for (let i = 0; i < times; i++) run();
  release();
  return Object.fromEntries(
    lowered.outputs.map(({ name, value }) => {
      const { shape } = lowered.types.get(value)!;
      const from = layout.outputs[name]! / 4;
      return [name, { shape, data: floats.slice(from, from + sizeOf(shape)) }];
    }),
  );
}
