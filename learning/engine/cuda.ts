/**
 * Whether ONNX Runtime's CUDA provider runs here. The provider is a library that onnxruntime-node does not bring along: it counts
 * as installed when it lies beside the binding. A driver or a GPU that does not fit can take the process along, so a child
 * process tries it first: one session, one product.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { lastWords } from './last-words.ts';
import { float32Type, graphBuilder } from './onnx/graph.ts';
import { writeModel } from './onnx/writer.ts';

/** How to get the provider. */
export const CUDA_HINT =
  'For an NVIDIA GPU with CUDA 12 and cuDNN 9: `ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js`.';

const PROBE_MS = 60_000;

export type CudaProbe =
  | { readonly available: true }
  /** One line for a person; `installed` tells a provider that is absent from one that is broken. */
  | { readonly available: false; readonly installed: boolean; readonly reason: string };

/** What the child runs: path of onnxruntime-node and the model (base64) as its arguments. */
const SCRIPT = `
const ort = require(process.argv[1]);
(async () => {
  const options = { executionProviders: ['cuda'], logSeverityLevel: 4 };
  const session = await ort.InferenceSession.create(Buffer.from(process.argv[2], 'base64'), options);
  const x = new ort.Tensor('float32', Float32Array.of(1, 2, 3, 4), [2, 2]);
  const { 'out:y': y } = await session.run({ 'in:x': x });
  if (Array.from(y.data).join() !== '7,10,15,22') throw new Error('a product came out wrong');
  await session.release();
})().catch((error) => { console.error(error.message); process.exit(1); });
`;

/** y = x·x for a 2×2 matrix. */
function probeModel(): Uint8Array {
  const g = graphBuilder('probe');
  const x = g.input('x', float32Type([2, 2]));
  return writeModel(g.finish([{ name: 'y', value: g.node('MatMul', [x, x], float32Type([2, 2])) }]));
}

/** The folder of onnxruntime-node's binding for this platform. */
function bindingFolder(): string | undefined {
  const bin = join(dirname(createRequire(import.meta.url).resolve('onnxruntime-node')), '..', 'bin');
  const napi = readdirSync(bin).find((name) => name.startsWith('napi-'));
  return napi && join(bin, napi, process.platform, process.arch);
}

const LIBRARIES = ['libonnxruntime_providers_cuda.so', 'onnxruntime_providers_cuda.dll'];

/** Tries the provider in `folder` with `script`, which are the machine's own unless a test says otherwise. */
export function probeCudaIn(folder: string | undefined, script = SCRIPT): Promise<CudaProbe> {
  const installed = folder !== undefined && LIBRARIES.some((name) => existsSync(join(folder, name)));
  if (!installed) {
    const reason = "onnxruntime-node's CUDA provider is not installed";
    return Promise.resolve({ available: false, installed, reason });
  }
  const path = createRequire(import.meta.url).resolve('onnxruntime-node');
  const model = Buffer.from(probeModel()).toString('base64');
  return new Promise((resolve) => {
    execFile(process.execPath, ['-e', script, path, model], { timeout: PROBE_MS }, (error, _, stderr) => {
      if (!error) return resolve({ available: true });
      const reason = `the CUDA provider is installed, but ${lastWords(error, stderr)}`;
      return resolve({ available: false, installed, reason });
    });
  });
}

let probed: Promise<CudaProbe> | undefined;

/** Whether the CUDA provider runs here; found out once per process. */
export function probeCuda(): Promise<CudaProbe> {
  probed ??= probeCudaIn(bindingFolder());
  return probed;
}
