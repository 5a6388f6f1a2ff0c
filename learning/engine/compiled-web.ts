/**
 * The compiled engine in browsers, on onnxruntime-web: WebAssembly with SIMD, on several threads where the page is cross-origin
 * isolated; a GPU where there is one and its numbers are right. It belongs into a Web Worker, since a run blocks its thread.
 */
import * as ort from 'onnxruntime-web/wasm';
import { TacitError } from '../../protocol/errors.ts';
import { engineOver } from './compiled-engine.ts';
import type { BackendOptions } from './eager-backend.ts';
import type { Engine } from './engine.ts';
import { gpuRuntime } from './web-gpu.ts';
import { faultIn, probe } from './web-probe.ts';
import { webRuntime } from './web-runtime.ts';

export interface CompiledWebOptions extends BackendOptions {
  /** Where the files of onnxruntime-web are: a URL ending in `/`. Default: beside the module that a bundler made of it. */
  readonly runtimePath?: string;
  /** Threads of one run; default: one per core, at most four. The first engine of a page or worker decides for all. */
  readonly threads?: number;
  /** `auto`: a graphics adapter that passes the probe; `any`: a software adapter too, for tests; `never`: WebAssembly. */
  readonly gpu?: 'auto' | 'any' | 'never';
}

const MOST_THREADS = 4;

/** One SIMD instruction in a module: what browsers that cannot run the engine refuse. */
const SIMD_MODULE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 65, 0, 253, 15, 26, 11],
);

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

/** The first line of what the runtime says, without the address of this page's files. */
const firstLine = (thrown: unknown): string =>
  (thrown instanceof Error ? thrown.message : String(thrown))
    .split('\n')[0]!
    .replace(/^no available backend found\. ERR: /, '');

/**
 * The engine of this worker.
 * @throws TacitError engine/unavailable when the browser has no SIMD, the runtime's files are missing, or its numbers are wrong
 */
export async function compiledEngine(options: CompiledWebOptions = {}): Promise<Engine> {
  const { runtimePath, threads: wanted, gpu = 'auto' } = options;
  if (!WebAssembly.validate(SIMD_MODULE)) throw unavailable("this browser's WebAssembly has no SIMD");
  const threads = threadsFor(wanted);
  ort.env.wasm.numThreads = threads;
  if (runtimePath !== undefined) ort.env.wasm.wasmPaths = runtimePath;
  const runtime = webRuntime(ort, 'wasm');
  const reference = await probe(runtime).catch((thrown) => {
    throw unavailable(`onnxruntime-web does not run here (${firstLine(thrown)})`, thrown);
  });
  const fault = faultIn(reference);
  if (fault !== undefined) throw unavailable(`onnxruntime-web computes wrong numbers here: ${fault}`);
  if (gpu === 'never') return { ...engineOver(runtime), note: threadWords(threads) };
  const found = await gpuRuntime({ runtimePath, software: gpu === 'any', reference });
  if (typeof found === 'string') return { ...engineOver(runtime), note: `${threadWords(threads)}; ${found}` };
  return { ...engineOver(found), note: 'WebGPU, whose probe step gave the numbers of WebAssembly' };
}
