/**
 * The compiled engine in Node: programs are traced once, rewritten, and run by onnxruntime-node.
 * A run blocks the thread that calls it, so engines live in the training pool's workers. Sessions are kept by the hash of
 * their model: a participant that loads the same program each round compiles it once.
 */
import { createHash } from 'node:crypto';
import * as ort from 'onnxruntime-node';
import { TacitError } from '../../protocol/errors.ts';
import type { NamedArrays, NamedSpecs } from '../../protocol/tensors.ts';
import { compile, withBatch } from './compile.ts';
import { type Runtime, sessionExecutable } from './compiled-session.ts';
import type { Engine, Executable, Program } from './engine.ts';

export type Provider = 'cpu' | 'cuda';

export interface CompiledOptions {
  /** Threads of one run; default 1, since the pool runs one worker per core. */
  readonly threads?: number;
  /** Default: cpu. */
  readonly provider?: Provider;
  /** Parts of the batch that the threads of one run take side by side; default 1, the whole batch. */
  readonly parts?: number;
}

interface Loaded {
  readonly session: ort.InferenceSession;
  readonly outputs: NamedSpecs;
}

const runtime: Runtime = {
  tensor: (dtype, data, shape) => new ort.Tensor(dtype, data as never, shape),
};

/** Options of all our sessions; ours is one graph at a time per thread, with shapes known beforehand. */
export const sessionOptions = (
  threads: number,
  provider: Provider,
  parts = 1,
): ort.InferenceSession.SessionOptions => ({
  executionProviders: provider === 'cuda' ? ['cuda', 'cpu'] : ['cpu'],
  intraOpNumThreads: parts === 1 ? threads : 1,
  interOpNumThreads: parts === 1 ? 1 : threads,
  executionMode: parts === 1 ? 'sequential' : 'parallel',
  graphOptimizationLevel: 'all',
  enableCpuMemArena: true,
  enableMemPattern: true,
  logSeverityLevel: 3,
});

/** The providers that this machine's ONNX Runtime knows, cpu last. */
export const providers = (): Provider[] =>
  ort.listSupportedBackends().some(({ name }) => name === 'cuda') ? ['cuda', 'cpu'] : ['cpu'];

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Programs of one name and equal specs are the same graph (engine.ts). */
const keyOf = (program: Program): string => JSON.stringify([program.name, program.inputs]);

/** Models and sessions of one engine, each made once. */
function sessionCache(options: ort.InferenceSession.SessionOptions, parts: number) {
  const byProgram = new Map<string, Promise<Loaded>>();
  const byHash = new Map<string, Promise<ort.InferenceSession>>();
  const load = async (program: Program): Promise<Loaded> => {
    const { bytes, outputs } = compile(program, { parts });
    const hash = hashOf(bytes);
    const session = byHash.get(hash) ?? ort.InferenceSession.create(bytes, options);
    byHash.set(hash, session);
    return { session: await session, outputs };
  };
  return {
    load(program: Program): Promise<Loaded> {
      const key = keyOf(program);
      const loading = byProgram.get(key) ?? load(program);
      byProgram.set(key, loading);
      loading.catch(() => byProgram.delete(key));
      return loading;
    },
    async release(): Promise<void> {
      const sessions = [...byHash.values()];
      byHash.clear();
      byProgram.clear();
      await Promise.all(sessions.map(async (session) => (await session).release()));
    },
  };
}

type Cache = ReturnType<typeof sessionCache>;

async function executableOf(program: Program, cache: Cache): Promise<Executable> {
  const { session, outputs } = await cache.load(program);
  return sessionExecutable(
    program,
    runtime,
    {
      run: (feeds, fetches) => session.run(feeds as never, fetches as never),
      release: async () => undefined,
    },
    outputs,
  );
}

const isSymbolic = (program: Program): boolean => Object.values(program.inputs).some(({ shape }) => shape.includes(-1));

/** A program with a symbolic batch: one executable per size that is met, what is held given to each. */
function symbolicExecutable(program: Program, cache: Cache): Executable {
  const bySize = new Map<number, Promise<Executable>>();
  const held = new Map<string, NamedArrays[string]>();
  const sized = async (batch: number): Promise<Executable> => {
    const executable = await executableOf(withBatch(program, batch), cache);
    await executable.set(Object.fromEntries(held));
    return executable;
  };
  return {
    set: async (values) => {
      for (const [name, array] of Object.entries(values)) held.set(name, { ...array, data: array.data.slice() });
      for (const executable of bySize.values()) await (await executable).set(values);
    },
    run: async (feeds) => {
      const name = Object.keys(program.inputs).find((key) => program.inputs[key]!.shape[0] === -1);
      const batch = name === undefined ? undefined : feeds[name]?.shape[0];
      if (batch === undefined)
        throw new TacitError('weights/mismatch', `${program.name}: "${name}" is missing`, { where: name ?? '' });
      const executable = bySize.get(batch) ?? sized(batch);
      bySize.set(batch, executable);
      return (await executable).run(feeds);
    },
    get: async (names) =>
      Object.fromEntries(
        names.map((name) => {
          const array = held.get(name);
          if (!array)
            throw new TacitError('weights/mismatch', `${program.name}: "${name}" is not held`, { where: name });
          return [name, { ...array, data: array.data.slice() }];
        }),
      ),
    dispose: () => {
      for (const executable of bySize.values()) void executable.then((e) => e.dispose());
      bySize.clear();
      held.clear();
    },
  };
}

/**
 * The engine of this process or worker.
 * @throws TacitError engine/unavailable when ONNX Runtime cannot be used with this provider
 */
export async function compiledEngine(options: CompiledOptions = {}): Promise<Engine> {
  const { threads = 1, provider: chosen = 'cpu', parts = 1 } = options;
  if (!providers().includes(chosen))
    throw new TacitError('engine/unavailable', `ONNX Runtime has no provider "${chosen}" here`, {
      where: `compiled:${chosen}`,
      hint: `It has: ${providers().join(', ')}.`,
    });
  const cache = sessionCache(sessionOptions(threads, chosen, parts), parts);
  const loaded = new Set<Executable>();
  return {
    name: `compiled:${chosen}`,
    load: async (program) => {
      const made = isSymbolic(program) ? symbolicExecutable(program, cache) : await executableOf(program, cache);
      loaded.add(made);
      const dispose = (): void => {
        loaded.delete(made);
        made.dispose();
      };
      return { ...made, dispose };
    },
    close: async () => {
      for (const made of loaded) made.dispose();
      loaded.clear();
      await cache.release();
    },
  };
}
