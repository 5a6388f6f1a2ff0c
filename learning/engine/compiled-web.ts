/**
 * The compiled engine in browsers: WebAssembly kernels of our own (wasm/), on several threads where the page is cross-origin
 * isolated; onnxruntime-web for what they do not cover, loaded only then; a GPU where there is one and its numbers are right. It
 * belongs into a Web Worker, since a run blocks its thread.
 */
import { TacitError } from '../../protocol/errors.ts';
import { engineOver } from './compiled-engine.ts';
import type { BackendOptions } from './eager-backend.ts';
import type { Engine } from './engine.ts';
import { hasRelaxedSimd, hasSimd } from './wasm/support.ts';
import { createTeam } from './wasm/team.ts';
import { wasmEngine } from './wasm/wasm-engine.ts';
import { gpuRuntime } from './web-gpu.ts';
import { faultIn, probe } from './web-probe.ts';
import { ortWasmRuntime } from './web-runtime.ts';

export interface CompiledWebOptions extends BackendOptions {
  /** Where the files of onnxruntime-web are: a URL ending in `/`. Default: beside the module that a bundler made of it. */
  readonly runtimePath?: string;
  /** Threads of one run; default: one per core, at most four. */
  readonly threads?: number;
  /** `auto`: a graphics adapter that passes the probe; `any`: a software adapter too, for tests; `never`: WebAssembly. */
  readonly gpu?: 'auto' | 'any' | 'never';
}

const MOST_THREADS = 4;

function unavailable(message: string, cause?: unknown): TacitError {
  return new TacitError('engine/unavailable', message, { where: 'compiled', ...(cause ? { cause } : {}) });
}

const threadsFor = (wanted: number | undefined): number =>
  globalThis.crossOriginIsolated
    ? (wanted ?? Math.max(1, Math.min(MOST_THREADS, globalThis.navigator.hardwareConcurrency)))
    : 1;

/** How it runs, for a person. */
const threadWords = (threads: number): string =>
  globalThis.crossOriginIsolated
    ? `WebAssembly on ${threads} ${threads === 1 ? 'thread' : 'threads'}`
    : 'WebAssembly on one thread, since this page is not cross-origin isolated';

/** What is run on which kernels, for a person; grows with what they do not cover. */
function kernelWords(relaxed: boolean, missing: readonly string[]): string {
  const ours = relaxed
    ? 'kernels with fused multiply-add'
    : 'kernels without fused multiply-add, which this browser lacks';
  return [ours, ...missing.map((reason) => `onnxruntime-web, since they have no ${reason}`)].join('; ');
}

/** onnxruntime-web as an engine, once it is needed. */
function lazyRuntime(runtimePath: string | undefined, threads: number): () => Promise<Engine> {
  let engine: Promise<Engine> | undefined;
  return () => {
    engine ??= ortWasmRuntime(runtimePath, threads).then((runtime) => engineOver(runtime));
    return engine;
  };
}

/**
 * The engine of this worker.
 * @throws TacitError engine/unavailable when the browser has no SIMD, a file is missing, or its numbers are wrong
 */
export async function compiledEngine(options: CompiledWebOptions = {}): Promise<Engine> {
  const { runtimePath, threads: wanted, gpu = 'auto' } = options;
  if (!hasSimd()) throw unavailable("this browser's WebAssembly has no SIMD");
  const relaxed = hasRelaxedSimd();
  const threads = threadsFor(wanted);
  const team = await createTeam(threads).catch((thrown: Error) => {
    throw unavailable(thrown.message, thrown);
  });
  const missing: string[] = [];
  const runtime = lazyRuntime(runtimePath, threads);
  let loaded = false;
  const engine = wasmEngine({
    ...{ team, relaxed },
    otherwise: async (program, reason) => {
      loaded = true;
      if (!missing.includes(reason)) missing.push(reason);
      return (await runtime()).load(program);
    },
  });
  const close = async (): Promise<void> => {
    await engine.close();
    if (loaded) await (await runtime()).close();
  };
  const reference = await probe(engine).catch(async (thrown: unknown) => {
    await close();
    throw thrown;
  });
  const fault = faultIn(reference);
  if (fault !== undefined) {
    await close();
    throw unavailable(`WebAssembly computes wrong numbers here: ${fault}`);
  }
  const found = gpu === 'never' ? undefined : await gpuRuntime({ runtimePath, software: gpu === 'any', reference });
  if (found !== undefined && typeof found !== 'string') {
    await close();
    return { ...engineOver(found), note: 'WebGPU, whose probe step gave the numbers of WebAssembly' };
  }
  const words = [threadWords(threads), ...(found === undefined ? [] : [found])];
  return {
    ...engine,
    close,
    get note() {
      return [...words, kernelWords(relaxed, missing)].join('; ');
    },
  };
}
