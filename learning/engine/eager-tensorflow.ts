/**
 * TensorFlow's native library through @tensorflow/tfjs-node-gpu or @tensorflow/tfjs-node, optional peer dependencies.
 * A broken one can take the process along (no AVX, a CUDA fault), so a child process tries it first: one op, one gradient.
 */
import { TacitError } from '../../protocol/errors.ts';
import { lastWords } from './last-words.ts';

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;
const PROBE_MS = 60_000;

/** Read by the library when it is loaded: quiet, one thread per worker, no grab for all of a GPU's memory, exact products. */
const ENVIRONMENT = {
  TF_CPP_MIN_LOG_LEVEL: '3',
  TF_NUM_INTRAOP_THREADS: '1',
  TF_NUM_INTEROP_THREADS: '1',
  TF_FORCE_GPU_ALLOW_GROWTH: 'true',
  NVIDIA_TF32_OVERRIDE: '0',
};

export type Probe =
  | { readonly available: true; readonly package: string; readonly gpu: boolean }
  /** One line for a person. */
  | { readonly available: false; readonly reason: string };

/** What the child runs: path of the package as its argument, a line of JSON as its answer. */
const PROBE = `
const util = require('node:util');
util.isNullOrUndefined ??= (value) => value === null || value === undefined;
const tf = require(process.argv[1]);
tf.ready().then(() => {
  const images = tf.ones([1, 4, 4, 1]);
  const gradient = tf.grad((kernel) => tf.sum(tf.conv2d(images, kernel, 1, 'same')))(tf.ones([3, 3, 1, 1]));
  const sum = gradient.sum().dataSync()[0];
  if (tf.getBackend() !== 'tensorflow' || sum !== 100) throw new Error('a gradient came out wrong');
  console.log(JSON.stringify({ version: tf.version.tfjs, gpu: Boolean(tf.backend().isUsingGpuDevice) }));
}).catch((error) => { console.error(error); process.exit(1); });
`;

const builtin = <T>(name: string): T | undefined =>
  globalThis.process?.getBuiltinModule?.(name as 'node:module') as T | undefined;

function resolvePackage(name: string): string | undefined {
  const module = builtin<typeof import('node:module')>('node:module');
  try {
    return module?.createRequire(import.meta.url).resolve(name);
  } catch {
    return undefined;
  }
}

/** What goes wrong most often, in words of our own. */
const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/native addon module|tfjs_binding\.node/, 'its native addon was not built'],
  [/ERR_DLOPEN_FAILED|libtensorflow/, 'its TensorFlow library cannot be loaded'],
];

async function tryPackage(name: string, path: string): Promise<Probe> {
  const { execFile } = builtin<typeof import('node:child_process')>('node:child_process')!;
  const { version } = await import('@tensorflow/tfjs');
  const env = { ...ENVIRONMENT, ...process.env };
  return new Promise((resolve) => {
    execFile(process.execPath, ['-e', PROBE, path], { env, timeout: PROBE_MS }, (error, stdout, stderr) => {
      if (error) {
        const cause = KNOWN.find(([pattern]) => pattern.test(stderr))?.[1] ?? lastWords(error, stderr);
        return resolve({ available: false, reason: `${name} is installed, but ${cause}` });
      }
      const answer = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as { version?: string; gpu?: boolean };
      if (answer.version !== version.tfjs) {
        const reason = `${name} ${answer.version} is installed, but Tacit needs ${version.tfjs}`;
        return resolve({ available: false, reason });
      }
      return resolve({ available: true, package: name, gpu: answer.gpu === true });
    });
  });
}

async function probe(): Promise<Probe> {
  let failed: Probe | undefined;
  for (const name of PACKAGES) {
    const path = resolvePackage(name);
    if (path === undefined) continue;
    const result = await tryPackage(name, path);
    if (result.available) return result;
    failed ??= result;
  }
  return failed ?? { available: false, reason: '@tensorflow/tfjs-node is not installed' };
}

let probed: Promise<Probe> | undefined;

/** Whether the native library runs here; found out once per process. */
export function probeTensorFlow(): Promise<Probe> {
  probed ??= probe();
  return probed;
}

/** Loads the native library into this process, which registers the backend `tensorflow`. @throws TacitError engine/unavailable */
export async function loadTensorFlow(): Promise<void> {
  const path = PACKAGES.map(resolvePackage).find((found) => found !== undefined);
  const module = builtin<typeof import('node:module')>('node:module');
  if (path === undefined || module === undefined)
    throw new TacitError('engine/unavailable', '@tensorflow/tfjs-node is not installed', {
      where: 'eager:tensorflow',
      hint: 'Run `npm install @tensorflow/tfjs-node@4.22.0`, or use another engine.',
    });
  for (const [name, value] of Object.entries(ENVIRONMENT)) process.env[name] ??= value;
  // removed from Node 23, and still called by tfjs-node
  const util = builtin<{ isNullOrUndefined?: (value: unknown) => boolean }>('node:util')!;
  util.isNullOrUndefined ??= (value) => value === null || value === undefined;
  module.createRequire(import.meta.url)(path);
}
