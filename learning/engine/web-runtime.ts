/** onnxruntime-web as a runtime of the compiled engine: the same sessions on WebAssembly and on WebGPU. */
import type * as Web from 'onnxruntime-web';
import type { Runtime, RuntimeTensors } from './compiled-session.ts';

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
