/**
 * One graph as a session of ONNX Runtime with the tensors that it keeps. State lives in two sets of buffers that take turns:
 * a run reads one and writes the other in place, so in Node no tensor is copied through JavaScript.
 */
import { TacitError } from '../../protocol/errors.ts';
import { type NamedArrays, type NDArray, sizeOf, type TensorSpec } from '../../protocol/tensors.ts';
import type { Executable, Program } from './engine.ts';

/** The part of an ONNX tensor that is used here; onnxruntime-node's and -web's both have it. */
export interface RuntimeTensor {
  readonly data: unknown;
  readonly dims: readonly number[];
}

/** A session of either runtime. */
export interface Session {
  run(feeds: Record<string, RuntimeTensor>, fetches: Record<string, RuntimeTensor>): Promise<unknown>;
  release(): Promise<void>;
}

export interface Runtime {
  tensor(dtype: TensorSpec['dtype'], data: NDArray['data'], shape: readonly number[]): RuntimeTensor;
}

interface Slot {
  readonly spec: TensorSpec;
  readonly data: NDArray['data'];
  readonly tensor: RuntimeTensor;
}

function slotOf(runtime: Runtime, spec: TensorSpec): Slot {
  const size = sizeOf(spec.shape);
  const data = spec.dtype === 'int32' ? new Int32Array(size) : new Float32Array(size);
  return { spec, data, tensor: runtime.tensor(spec.dtype, data, spec.shape) };
}

const mismatch = (program: string, name: string, fault: string): TacitError =>
  new TacitError('weights/mismatch', `${program}: "${name}" ${fault}`, { where: name });

/** @throws TacitError weights/mismatch unless the array is what the spec asks for */
export function checkArray(program: string, name: string, array: NDArray, spec: TensorSpec | undefined): void {
  if (!spec) throw mismatch(program, name, 'is not one of its inputs');
  const same = array.shape.length === spec.shape.length && spec.shape.every((d, i) => d === array.shape[i]);
  if (same && array.dtype === spec.dtype) return;
  throw mismatch(program, name, `is ${array.dtype} [${array.shape}], not ${spec.dtype} [${spec.shape}]`);
}

/** An executable over a loaded session; `outputs` are the specs of the graph's outputs. */
export function sessionExecutable(
  program: Program,
  runtime: Runtime,
  session: Session,
  outputs: Readonly<Record<string, TensorSpec>>,
): Executable {
  const held = new Map<string, Slot>();
  const spare = new Map<string, Slot>();
  let disposed = false;

  const place = (name: string, array: NDArray): void => {
    const spec = program.inputs[name];
    checkArray(program.name, name, array, spec);
    const slot = held.get(name) ?? slotOf(runtime, spec!);
    slot.data.set(array.data);
    held.set(name, slot);
  };
  const feedsOf = (given: NamedArrays): Record<string, RuntimeTensor> => {
    const feeds: Record<string, RuntimeTensor> = {};
    for (const [name, array] of Object.entries(given)) {
      const spec = program.inputs[name];
      checkArray(program.name, name, array, spec);
      feeds[`in:${name}`] = runtime.tensor(spec!.dtype, array.data, array.shape);
    }
    for (const name of Object.keys(program.inputs)) {
      const tensor = feeds[`in:${name}`] ?? held.get(name)?.tensor;
      if (!tensor) throw mismatch(program.name, name, 'is missing');
      feeds[`in:${name}`] = tensor;
    }
    return feeds;
  };
  const fetchesOf = (): { fetches: Record<string, RuntimeTensor>; written: Map<string, Slot> } => {
    const fetches: Record<string, RuntimeTensor> = {};
    const written = new Map<string, Slot>();
    for (const [name, spec] of Object.entries(outputs)) {
      const slot = (program.inputs[name] && spare.get(name)) || slotOf(runtime, spec);
      written.set(name, slot);
      fetches[`out:${name}`] = slot.tensor;
    }
    return { fetches, written };
  };

  return {
    set: async (values) => {
      for (const [name, array] of Object.entries(values)) place(name, array);
    },
    run: async (given) => {
      if (disposed) throw new RangeError(`${program.name} was disposed`);
      const feeds = feedsOf(given);
      const { fetches, written } = fetchesOf();
      await session.run(feeds, fetches);
      const results: Record<string, NDArray> = {};
      for (const [name, slot] of written) {
        if (!program.inputs[name]) {
          results[name] = { shape: slot.spec.shape, dtype: slot.spec.dtype, data: slot.data };
          continue;
        }
        const before = held.get(name);
        if (before) spare.set(name, before);
        held.set(name, slot);
      }
      return results;
    },
    get: async (names) =>
      Object.fromEntries(
        names.map((name) => {
          const slot = held.get(name);
          if (!slot) throw mismatch(program.name, name, 'is not held');
          return [name, { shape: slot.spec.shape, dtype: slot.spec.dtype, data: slot.data.slice() }];
        }),
      ),
    dispose: () => {
      disposed = true;
      held.clear();
      spare.clear();
    },
  };
}
