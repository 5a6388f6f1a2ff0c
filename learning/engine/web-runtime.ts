/** onnxruntime-web as a runtime of the compiled engine: the same sessions on WebAssembly and on WebGPU. */
import type * as Web from 'onnxruntime-web';
import { TacitError } from '../../protocol/errors.ts';
import { engineOver } from './compiled-engine.ts';
import type { Runtime, RuntimeTensors } from './compiled-session.ts';
import { faultIn, probe } from './web-probe.ts';

/** One of the package's builds; each has a WebAssembly module of its own. */
export type Build = typeof Web;
export type WebProvider = 'wasm' | 'webgpu';

let last: Promise<unknown> = Promise.resolve();

/** The module keeps its arguments on one stack while it waits for a GPU, so nothing may begin before the call before has ended. */
function inTurn<T>(action: () => Promise<T>): Promise<T> {
  const mine = last.then(action);
  last = mine.catch(() => {});
  return mine;
}

function optionsOf(provider: WebProvider, carried: readonly string[]): Web.InferenceSession.SessionOptions {
  // what is carried stays on the GPU; it is read back only when it is asked for
  const locations = Object.fromEntries(carried.map((name) => [`out:${name}`, 'gpu-buffer' as const]));
  return {
    executionProviders: [provider],
    graphOptimizationLevel: 'all',
    enableCpuMemArena: true,
    enableMemPattern: true,
    logSeverityLevel: 3,
    ...(provider === 'webgpu' ? { preferredOutputLocation: locations } : {}),
  };
}

export const webRuntime = (ort: Build, provider: WebProvider): Runtime => ({
  name: `compiled:${provider}`,
  inPlace: false,
  tensor: (dtype, data, shape) => new ort.Tensor(dtype, data as never, shape),
  open: async (model, carried) => {
    const session = await inTurn(() => ort.InferenceSession.create(model, optionsOf(provider, carried)));
    return {
      run: (feeds) => inTurn(async () => (await session.run(feeds as never)) as unknown as RuntimeTensors),
      release: () => inTurn(() => session.release()),
    };
  },
});

/** The first line of what the runtime says, without the address of this page's files. */
const firstLine = (thrown: unknown): string =>
  (thrown instanceof Error ? thrown.message : String(thrown))
    .split('\n')[0]!
    .replace(/^no available backend found\. ERR: /, '');

/**
 * The smallest build, on WebAssembly. The first call in a worker decides for the threads of all.
 * @throws TacitError engine/unavailable when it does not start
 */
export async function ortWasmRuntime(runtimePath: string | undefined, threads: number): Promise<Runtime> {
  try {
    const ort = await import('onnxruntime-web/wasm');
    ort.env.wasm.numThreads = threads;
    if (runtimePath !== undefined) ort.env.wasm.wasmPaths = runtimePath;
    const runtime = webRuntime(ort, 'wasm');
    const engine = engineOver(runtime);
    const fault = faultIn(await probe(engine).finally(() => engine.close()));
    if (fault === undefined) return runtime;
    throw new Error(`it computes wrong numbers: ${fault}`);
  } catch (thrown) {
    const message = `onnxruntime-web does not run here (${firstLine(thrown)})`;
    throw new TacitError('engine/unavailable', message, { where: 'compiled', cause: thrown });
  }
}
