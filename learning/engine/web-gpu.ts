/**
 * WebGPU as the compiled engine's runtime, tried with care: only with a real graphics adapter, and only if a probe step on it gives
 * the numbers that WebAssembly gives. Its build of onnxruntime-web is loaded once all else speaks for it.
 */
import type { NamedArrays } from '../../protocol/tensors.ts';
import { engineOver } from './compiled-engine.ts';
import type { Runtime } from './compiled-session.ts';
import { faultIn, probe } from './web-probe.ts';
import { webRuntime } from './web-runtime.ts';

/** The part of a browser's WebGPU that is asked here; its types are not among those of a page. */
interface Adapter {
  readonly info?: { readonly isFallbackAdapter?: boolean };
  readonly isFallbackAdapter?: boolean;
}
interface NavigatorGpu {
  readonly gpu?: { requestAdapter(): Promise<Adapter | null> };
}

export interface GpuOptions {
  readonly runtimePath: string | undefined;
  /** Whether adapters that compute on the processor will do; they are slower than WebAssembly. */
  readonly software: boolean;
  /** What the probe step gives on WebAssembly. */
  readonly reference: NamedArrays;
}

/** Why there is no adapter to try; nothing if there is. */
async function missing(software: boolean): Promise<string | undefined> {
  const { gpu } = globalThis.navigator as NavigatorGpu;
  if (!gpu) return 'this browser offers no WebGPU';
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (!adapter) return 'WebGPU has no adapter';
  const fallback = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false;
  if (fallback && !software) return 'WebGPU has a software adapter only';
  return 'Suspending' in WebAssembly ? undefined : 'this browser lacks what WebGPU takes here (JSPI)';
}

/** The runtime on a GPU, or why it is not used. */
export async function gpuRuntime({ runtimePath, software, reference }: GpuOptions): Promise<Runtime | string> {
  const reason = await missing(software);
  if (reason !== undefined) return reason;
  try {
    const ort = await import('onnxruntime-web/jspi');
    ort.env.wasm.numThreads = 1;
    if (runtimePath !== undefined) ort.env.wasm.wasmPaths = runtimePath;
    const runtime = webRuntime(ort, 'webgpu');
    const engine = engineOver(runtime);
    const fault = faultIn(await probe(engine).finally(() => engine.close()), reference);
    return fault === undefined ? runtime : `WebGPU computes other numbers: ${fault}`;
  } catch (thrown) {
    return `WebGPU failed (${String(thrown).split('\n')[0]})`;
  }
}
