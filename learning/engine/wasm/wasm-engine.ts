/**
 * Tacit's own executor for WebAssembly: a traced graph becomes one module (module.ts), made once per program. What it does not cover
 * goes to another engine.
 */
import { specOf } from '../compile.ts';
import { isSymbolic, symbolicExecutable } from '../compiled-symbolic.ts';
import type { Engine, Executable, Program } from '../engine.ts';
import { engineOf } from '../engine-of.ts';
import type { Graph } from '../onnx/graph.ts';
import { traceProgram } from '../trace/trace.ts';
import { type Compiled, type Instance, instantiate, wasmExecutable } from './executable.ts';
import { lower } from './lower.ts';
import { compileModule } from './module.ts';
import { Uncovered } from './operations.ts';
import type { Team } from './team.ts';

export interface WasmOptions {
  /** Threads of a run. */
  readonly team: Team;
  /** Whether this machine has relaxed SIMD (support.ts). */
  readonly relaxed: boolean;
  /** Takes the programs that have no kernels here. */
  readonly otherwise: (program: Program, reason: string) => Promise<Executable>;
}

/** Memories that are kept for the next executable of their program; of all programs together, since each may take hundreds of MiB. */
const SPARE = 2;

async function compileProgram(program: Program, { team, relaxed }: WasmOptions): Promise<Compiled> {
  const graph: Graph = lower(traceProgram(program));
  const sleeps = !('document' in globalThis);
  const layout = compileModule(graph, { threads: team.threads, relaxed, sleeps });
  const module = await WebAssembly.compile(layout.bytes);
  const outputs = Object.fromEntries(graph.outputs.map(({ name, value }) => [name, specOf(graph, name, value)]));
  return { layout, module, outputs };
}

/** Programs of one name and equal specs are the same graph (engine.ts). */
const keyOf = (program: Program): string => JSON.stringify([program.name, program.inputs]);

/** The engine; `close` ends its threads. */
export function wasmEngine(options: WasmOptions): Engine {
  const { team, otherwise } = options;
  const byProgram = new Map<string, Promise<Compiled>>();
  /** The longest unused first. */
  const spare: { readonly of: Compiled; readonly instance: Instance }[] = [];
  let closed = false;
  const known = (program: Program): Promise<Compiled> => {
    const key = keyOf(program);
    const making = byProgram.get(key) ?? compileProgram(program, options);
    byProgram.set(key, making);
    making.catch(() => byProgram.delete(key));
    return making;
  };
  const takeSpare = (of: Compiled): Instance | undefined => {
    const place = spare.findIndex((kept) => kept.of === of);
    return place < 0 ? undefined : spare.splice(place, 1)[0]!.instance;
  };
  const keepSpare = (of: Compiled, instance: Instance): void => {
    spare.push({ of, instance });
    while (spare.length > (closed ? 0 : SPARE)) spare.shift()!.instance.release();
  };
  const load = async (program: Program): Promise<Executable> => {
    try {
      const compiled = await known(program);
      const instance = takeSpare(compiled) ?? (await instantiate(compiled, team));
      return wasmExecutable(program, compiled, instance, () => keepSpare(compiled, instance));
    } catch (thrown) {
      if (!(thrown instanceof Uncovered)) throw thrown;
      return otherwise(program, thrown.message);
    }
  };
  const make = (program: Program): Executable | Promise<Executable> =>
    isSymbolic(program) ? symbolicExecutable(program, load) : load(program);
  return engineOf('compiled:wasm', make, async () => {
    closed = true;
    byProgram.clear();
    for (const { instance } of spare.splice(0)) instance.release();
    team.close();
  });
}
