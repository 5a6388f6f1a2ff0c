/**
 * tfjs and its backends, loaded once per process. tfjs has one global backend: `activate` switches to the wanted one, and since
 * a step runs from there to its end without yielding, engines of several backends can live in one process.
 */
import { TacitError } from '../../protocol/errors.ts';
import { type Composites, makeOps, type Ops, type TensorFlow } from '../ops/ops.ts';
import { loadTensorFlow } from './eager-tensorflow.ts';

export const BACKENDS = ['wasm', 'cpu', 'webgl', 'tensorflow'] as const;
/** `tensorflow` is the native library of tfjs-node or tfjs-node-gpu. */
export type Backend = (typeof BACKENDS)[number];

export interface BackendOptions {
  /** Where a browser finds the `.wasm` files of tfjs: a URL ending in `/`. Node takes them from the installed package. */
  readonly wasmPath?: string;
}

let loadedWasm: Promise<void> | undefined;

async function loadWasm(wasmPath: string | undefined): Promise<void> {
  const [tf, wasm] = await Promise.all([import('@tensorflow/tfjs'), import('@tensorflow/tfjs-backend-wasm')]);
  // threads belong to the pool: one per worker
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  if (wasmPath !== undefined) wasm.setWasmPaths(wasmPath);
}

const listeners = (event: 'uncaughtException' | 'unhandledRejection'): readonly NodeJS.UncaughtExceptionListener[] =>
  globalThis.process?.listeners?.(event as 'uncaughtException') ?? [];

/** Emscripten's Node code adds handlers that turn any rejection in the process into a crash; what it adds is taken off again. */
async function withoutNewListeners<T>(action: () => Promise<T>): Promise<T> {
  const before = {
    uncaughtException: listeners('uncaughtException'),
    unhandledRejection: listeners('unhandledRejection'),
  };
  try {
    return await action();
  } finally {
    for (const event of ['uncaughtException', 'unhandledRejection'] as const)
      for (const listener of listeners(event)) if (!before[event].includes(listener)) process.off(event, listener);
  }
}

const prepare = async (backend: Backend, { wasmPath }: BackendOptions): Promise<void> => {
  if (backend === 'tensorflow') await loadTensorFlow();
  if (backend === 'wasm') {
    loadedWasm ??= loadWasm(wasmPath);
    await loadedWasm;
  }
};

/** tfjs's own convolution with its own gradient. */
const nativeConvolution = (tf: TensorFlow): Partial<Composites> => ({
  conv2d: (x, kernel, { stride, padding }) =>
    tf.conv2d(x as ReturnType<TensorFlow['tensor4d']>, kernel as ReturnType<TensorFlow['tensor4d']>, stride, padding),
});

/** Some backends have a native gradient of convolutions; the others use the one of learning/ops. */
const overridesOf = (tf: TensorFlow, backend: Backend): Partial<Composites> =>
  backend === 'tensorflow' || backend === 'webgl' ? nativeConvolution(tf) : {};

async function load(backend: Backend, options: BackendOptions): Promise<Ops> {
  const tf = await import('@tensorflow/tfjs');
  tf.enableProdMode();
  let ready = false;
  let cause: unknown;
  try {
    await prepare(backend, options);
    ready = await withoutNewListeners(() => tf.setBackend(backend));
  } catch (thrown) {
    cause = thrown;
  }
  if (!ready)
    throw new TacitError('engine/unavailable', `the tfjs backend "${backend}" cannot run here`, {
      where: `eager:${backend}`,
      hint: backend === 'tensorflow' ? 'Install @tensorflow/tfjs-node.' : 'Use another engine, such as eager:cpu.',
      cause,
    });
  return makeOps(tf, overridesOf(tf, backend));
}

let loading: Promise<void> | undefined;

/**
 * The load under way, if there is one: tfjs can do nothing at all until it ends. Wait with
 * `while (pendingLoad()) await pendingLoad()`, which goes straight on, without yielding, when there is none.
 */
export const pendingLoad = (): Promise<void> | undefined => loading;

/**
 * The operations on a backend, which is loaded if it is not yet; one load at a time.
 * @throws TacitError engine/unavailable when the backend cannot run here
 */
export async function loadBackend(backend: Backend, options: BackendOptions): Promise<Ops> {
  while (pendingLoad()) await pendingLoad();
  const loaded = load(backend, options);
  const done = (): void => {
    loading = undefined;
  };
  loading = loaded.then(done, done);
  return loaded;
}

/** Makes `backend`, which is loaded, the current one; takes effect before this returns. */
export function activate(tf: TensorFlow, backend: Backend): void {
  if (tf.getBackend() !== backend) void tf.setBackend(backend);
}
