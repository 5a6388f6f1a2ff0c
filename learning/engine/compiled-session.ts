/**
 * One graph as a session of ONNX Runtime with the tensors that it keeps, in Node and in browsers alike. In Node, state lives in two
 * sets of buffers that take turns: a run reads one and writes the other in place, so no tensor is copied through JavaScript.
 * A browser's runtime gives the new state as new tensors, which are handed to the next run as they are.
 */
import { type NamedArrays, type NamedSpecs, type NDArray, sizeOf, type TensorSpec } from '../../protocol/tensors.ts';
import type { Executable, Program } from './engine.ts';
import { checkInput, mismatch } from './program-inputs.ts';

/** The part of an ONNX tensor that is used here; onnxruntime-node's and -web's both have it. */
export interface RuntimeTensor {
  /** `cpu`, or where a GPU holds it. */
  readonly location: string;
  /** The tensor's own array; only with location `cpu`. */
  readonly data: unknown;
  /** The same array, or a copy from a GPU. */
  getData(): Promise<unknown>;
  dispose(): void;
}

export type RuntimeTensors = Readonly<Record<string, RuntimeTensor>>;

/** A session of either runtime. */
export interface Session {
  /** Runs once. `into`: where each output is to be written, if the runtime writes in place. @returns the outputs by name */
  run(feeds: RuntimeTensors, into: RuntimeTensors): Promise<RuntimeTensors>;
  release(): Promise<void>;
}

/** What executes graphs: the part of the compiled engine that differs between platforms. */
export interface Runtime {
  /** Name of the engine: `compiled:cpu`, … */
  readonly name: string;
  /** Whether runs write into tensors that they are given. */
  readonly inPlace: boolean;
  /** A tensor over this array, which is not copied. */
  tensor(dtype: TensorSpec['dtype'], data: NDArray['data'], shape: readonly number[]): RuntimeTensor;
  /** A session for the bytes of a model; `carried` names outputs that are only ever fed to its next run. */
  open(model: Uint8Array, carried: readonly string[]): Promise<Session>;
}

type Data = NDArray['data'];

/** An executable over a loaded session; `outputs` are the specs of the graph's outputs. */
export function sessionExecutable(
  program: Program,
  runtime: Runtime,
  session: Session,
  outputs: NamedSpecs,
): Executable {
  const held = new Map<string, RuntimeTensor>();
  const spare = new Map<string, RuntimeTensor>();
  let disposed = false;
  let last: Promise<unknown> = Promise.resolve();

  /** Runs of one executable go one after another: each starts from the state that the one before has left. */
  const inTurn = <T>(action: () => Promise<T>): Promise<T> => {
    const mine = last.then(action);
    last = mine.catch(() => {});
    return mine;
  };
  const empty = ({ dtype, shape }: TensorSpec): RuntimeTensor => {
    const size = sizeOf(shape);
    return runtime.tensor(dtype, dtype === 'int32' ? new Int32Array(size) : new Float32Array(size), shape);
  };
  const place = (name: string, array: NDArray): void => {
    checkInput(program, name, array);
    const before = held.get(name);
    if (before?.location === 'cpu') {
      (before.data as Data).set(array.data);
      return;
    }
    before?.dispose();
    held.set(name, runtime.tensor(array.dtype, array.data.slice(), array.shape));
  };
  const feedsOf = (given: NamedArrays): RuntimeTensors => {
    const feeds: Record<string, RuntimeTensor> = {};
    for (const [name, array] of Object.entries(given)) {
      checkInput(program, name, array);
      feeds[`in:${name}`] = runtime.tensor(array.dtype, array.data, array.shape);
    }
    for (const name of Object.keys(program.inputs)) {
      const tensor = feeds[`in:${name}`] ?? held.get(name);
      if (!tensor) throw mismatch(program, name, 'is missing');
      feeds[`in:${name}`] = tensor;
    }
    return feeds;
  };
  const targets = (): RuntimeTensors => {
    if (!runtime.inPlace) return {};
    return Object.fromEntries(
      Object.entries(outputs).map(([name, spec]) => [
        `out:${name}`,
        (program.inputs[name] && spare.get(name)) || empty(spec),
      ]),
    );
  };
  const carry = (name: string, tensor: RuntimeTensor): void => {
    const before = held.get(name);
    held.set(name, tensor);
    if (before && runtime.inPlace) spare.set(name, before);
    else before?.dispose();
  };

  const run = async (given: NamedArrays): Promise<NamedArrays> => {
    if (disposed) throw new RangeError(`${program.name} was disposed`);
    const produced = await session.run(feedsOf(given), targets());
    const results: Record<string, NDArray> = {};
    for (const [name, { shape, dtype }] of Object.entries(outputs)) {
      const tensor = produced[`out:${name}`]!;
      if (program.inputs[name]) carry(name, tensor);
      else results[name] = { shape, dtype, data: (await tensor.getData()) as Data };
    }
    return results;
  };
  const get = async (names: readonly string[]): Promise<NamedArrays> => {
    const arrays: Record<string, NDArray> = {};
    for (const name of names) {
      const tensor = held.get(name);
      if (!tensor) throw mismatch(program, name, 'is not held');
      const { shape, dtype } = program.inputs[name]!;
      arrays[name] = { shape, dtype, data: ((await tensor.getData()) as Data).slice() };
    }
    return arrays;
  };

  return {
    set: (values) =>
      inTurn(async () => {
        for (const [name, array] of Object.entries(values)) place(name, array);
      }),
    run: (given) => inTurn(() => run(given)),
    get: (names) => inTurn(() => get(names)),
    dispose: () => {
      disposed = true;
      for (const tensor of [...held.values(), ...spare.values()]) tensor.dispose();
      held.clear();
      spare.clear();
    },
  };
}
