/**
 * What the compiled engine is on every platform: programs are traced once, rewritten, written as ONNX and executed by a runtime.
 * Sessions are kept by the hash of their model: a participant that loads the same program each round compiles it once.
 */
import { compile } from './compile.ts';
import { type Runtime, type Session, sessionExecutable } from './compiled-session.ts';
import { isSymbolic, symbolicExecutable } from './compiled-symbolic.ts';
import type { Engine, Executable, Program } from './engine.ts';
import { engineOf } from './engine-of.ts';
import type { OptimiseOptions } from './rewrites/optimise.ts';

const hashOf = async (bytes: Uint8Array): Promise<string> => {
  const digest = await globalThis.crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
};

/** Programs of one name and equal specs are the same graph (engine.ts). */
const keyOf = (program: Program): string => JSON.stringify([program.name, program.inputs]);

/** Models and sessions of one engine, each made once. */
function sessionCache(runtime: Runtime, options: OptimiseOptions) {
  const byProgram = new Map<string, ReturnType<typeof make>>();
  const byHash = new Map<string, Promise<Session>>();
  const make = async (program: Program) => {
    const { bytes, outputs } = compile(program, options);
    const hash = await hashOf(bytes);
    const carried = Object.keys(outputs).filter((name) => program.inputs[name]);
    const session = byHash.get(hash) ?? runtime.open(bytes, carried);
    byHash.set(hash, session);
    session.catch(() => byHash.delete(hash));
    return { session: await session, outputs };
  };
  return {
    load(program: Program): ReturnType<typeof make> {
      const key = keyOf(program);
      const loading = byProgram.get(key) ?? make(program);
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

/** The engine over a runtime. */
export function engineOver(runtime: Runtime, options: OptimiseOptions = {}): Engine {
  const cache = sessionCache(runtime, options);
  const load = async (program: Program): Promise<Executable> => {
    const { session, outputs } = await cache.load(program);
    return sessionExecutable(program, runtime, session, outputs);
  };
  const make = (program: Program): Executable | Promise<Executable> =>
    isSymbolic(program) ? symbolicExecutable(program, load) : load(program);
  return engineOf(runtime.name, make, cache.release);
}
