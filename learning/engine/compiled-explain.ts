/** What `tacit engine explain` prints: the size of a program's graph, its operators, and where the time of a step goes. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import type { NamedArrays, NDArray } from '../../protocol/tensors.ts';
import { compile } from './compile.ts';
import { graphOptions, sessionOptions } from './compiled.ts';
import type { Program } from './engine.ts';

export interface OperatorCost {
  readonly operator: string;
  /** Nodes as executed, after ONNX Runtime's own fusions. */
  readonly count: number;
  /** Milliseconds per run. */
  readonly ms: number;
}

export interface Explanation {
  /** Nodes of the written graph. */
  readonly nodes: number;
  /** Size of the ONNX model. */
  readonly bytes: number;
  /** Milliseconds to trace and rewrite. */
  readonly compileMs: number;
  /** Operators of the written graph with their counts, most frequent first. */
  readonly operators: Readonly<Record<string, number>>;
  /** Executed operators, most expensive first; empty without feeds. */
  readonly profile: readonly OperatorCost[];
}

export interface ExplainOptions {
  readonly threads?: number;
  /** All inputs of the program; with them the graph is run and profiled. */
  readonly feeds?: NamedArrays;
  readonly runs?: number;
}

const tensorOf = ({ dtype, data, shape }: NDArray): ort.Tensor => new ort.Tensor(dtype, data as never, shape);

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** Adds up ONNX Runtime's profile by operator. */
function costs(events: readonly ProfileEvent[], runs: number): OperatorCost[] {
  const total = new Map<string, { count: number; ms: number }>();
  for (const { cat, name, dur, args } of events) {
    if (cat !== 'Node' || !name.endsWith('_kernel_time') || !args?.op_name) continue;
    const { count, ms } = total.get(args.op_name) ?? { count: 0, ms: 0 };
    total.set(args.op_name, { count: count + 1 / runs, ms: ms + dur / 1000 / runs });
  }
  return [...total]
    .map(([operator, { count, ms }]) => ({ operator, count: Math.round(count), ms }))
    .sort((a, b) => b.ms - a.ms);
}

/** Runs a model under ONNX Runtime's profiler. */
async function profileOf(
  bytes: Uint8Array,
  feeds: NamedArrays,
  threads: number,
  runs: number,
): Promise<OperatorCost[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tacit-profile-'));
  try {
    const profileFilePrefix = join(folder, 'run');
    const options = { ...sessionOptions(threads, 'cpu'), enableProfiling: true, profileFilePrefix };
    const session = await ort.InferenceSession.create(bytes, options);
    const inputs = Object.fromEntries(Object.entries(feeds).map(([name, array]) => [`in:${name}`, tensorOf(array)]));
    for (let i = 0; i < runs; i++) await session.run(inputs);
    session.endProfiling();
    await session.release();
    const file = (await readdir(folder))[0]!;
    return costs(JSON.parse(await readFile(join(folder, file), 'utf8')) as ProfileEvent[], runs);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Traces a program and, if it is given feeds, profiles its graph.
 * @throws TacitError engine/unsupported when the program cannot be traced
 */
export async function explainProgram(program: Program, options: ExplainOptions = {}): Promise<Explanation> {
  const { threads = 1, feeds, runs = 5 } = options;
  const before = performance.now();
  const { graph, bytes } = compile(program, await graphOptions('cpu'));
  const compileMs = performance.now() - before;
  const counts = new Map<string, number>();
  for (const { op } of graph.nodes) counts.set(op, (counts.get(op) ?? 0) + 1);
  const given = feeds && Object.fromEntries(Object.keys(program.inputs).map((name) => [name, feeds[name]!]));
  return {
    nodes: graph.nodes.length,
    bytes: bytes.length,
    compileMs,
    operators: Object.fromEntries([...counts].sort((a, b) => b[1] - a[1])),
    profile: given ? await profileOf(bytes, given, threads, runs) : [],
  };
}
