/**
 * The eager engine: programs run by tfjs, operation by operation. It runs everywhere, and the compiled engine is checked
 * against it. A run does not yield between its first and its last operation, so executables and engines may be used side by
 * side; each switches tfjs's global backend to its own first, and leaves it there.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { NamedArrays, NDArray } from '../../protocol/tensors.ts';
import type { Ops } from '../ops/ops.ts';
import { activate, type Backend, type BackendOptions, loadBackend, pendingLoad } from './eager-backend.ts';
import type { Engine, Executable, Program, Tensors } from './engine.ts';
import { engineOf } from './engine-of.ts';
import { checkInput, mismatch } from './program-inputs.ts';

const read = async (tensor: Tensor): Promise<NDArray> => {
  const data = await tensor.data();
  return tensor.dtype === 'int32'
    ? { shape: tensor.shape, dtype: 'int32', data: Int32Array.from(data) }
    : { shape: tensor.shape, dtype: 'float32', data: Float32Array.from(data) };
};

const readAll = async (tensors: Tensors): Promise<NamedArrays> =>
  Object.fromEntries(
    await Promise.all(Object.entries(tensors).map(async ([name, tensor]) => [name, await read(tensor)] as const)),
  );

/** One program's tensors that stay between runs. Ownership: every tensor in `held` is kept here and disposed here. */
function executable(nn: Ops, backend: Backend, program: Program): Executable {
  const { tf } = nn;
  const held = new Map<string, Tensor>();

  const hold = (name: string, tensor: Tensor): void => {
    held.get(name)?.dispose();
    held.set(name, tf.keep(tensor));
  };
  const upload = (name: string, array: NDArray, data: NDArray['data']): Tensor => {
    checkInput(program, name, array);
    return tf.tensor(data, [...array.shape], array.dtype);
  };
  const gather = (feeds: NamedArrays): Record<string, Tensor> => {
    const inputs: Record<string, Tensor> = {};
    for (const [name, array] of Object.entries(feeds)) inputs[name] = upload(name, array, array.data);
    for (const name of Object.keys(program.inputs)) {
      inputs[name] ??= held.get(name) as Tensor;
      if (!inputs[name]) throw mismatch(program, name, 'is missing');
    }
    return inputs;
  };
  /** Runs in a tidy; outputs that are inputs passed through become tensors of their own. */
  const step = (feeds: NamedArrays): Tensors =>
    tf.tidy(() => {
      const inputs = gather(feeds);
      const passed = new Set(Object.values(inputs));
      const outputs = Object.entries(program.run(nn, inputs));
      return Object.fromEntries(outputs.map(([name, t]) => [name, passed.has(t) ? tf.clone(t) : t]));
    });

  return {
    set: async (values) => {
      while (pendingLoad()) await pendingLoad();
      activate(tf, backend);
      for (const [name, array] of Object.entries(values)) hold(name, upload(name, array, array.data.slice()));
    },
    run: async (feeds) => {
      while (pendingLoad()) await pendingLoad();
      activate(tf, backend);
      const results: Record<string, Tensor> = {};
      for (const [name, tensor] of Object.entries(step(feeds))) {
        if (program.inputs[name]) hold(name, tensor);
        else results[name] = tf.keep(tensor);
      }
      try {
        return await readAll(results);
      } finally {
        tf.dispose(results);
      }
    },
    get: async (names) => {
      const missing = names.find((name) => !held.has(name));
      if (missing !== undefined) throw mismatch(program, missing, 'is not held');
      return readAll(Object.fromEntries(names.map((name) => [name, held.get(name)!])));
    },
    dispose: () => {
      for (const tensor of held.values()) tensor.dispose();
      held.clear();
    },
  };
}

/**
 * An engine on one of tfjs's backends.
 * @throws TacitError engine/unavailable when the backend cannot run here
 */
export async function eagerEngine(backend: Backend, options: BackendOptions = {}): Promise<Engine> {
  const nn = await loadBackend(backend, options);
  return engineOf(`eager:${backend}`, (program) => executable(nn, backend, program));
}
