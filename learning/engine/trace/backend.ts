/**
 * A tfjs backend that holds no numbers: a kernel call adds nodes to a graph and returns a tensor of the right shape.
 * tfjs's own automatic differentiation runs on it, so forward, backward and update of a program land in one graph.
 */
import * as tf from '@tensorflow/tfjs';
import { TacitError } from '../../../protocol/errors.ts';
import type { Constant, GraphBuilder } from '../onnx/graph.ts';
import { graphBuilder } from '../onnx/graph.ts';
import type { Kernel, Traced } from './emit.ts';
import { compositeKernels } from './kernels/composite.ts';
import { convolutionKernels } from './kernels/convolution.ts';
import { elementwiseKernels } from './kernels/elementwise.ts';
import { imageKernels } from './kernels/image.ts';
import { indexingKernels } from './kernels/indexing.ts';
import { layoutKernels } from './kernels/layout.ts';
import { matrixKernels } from './kernels/matrix.ts';
import { reductionKernels } from './kernels/reduction.ts';

export const TRACE_BACKEND = 'trace';

const KERNELS: Readonly<Record<string, Kernel>> = {
  ...elementwiseKernels,
  ...reductionKernels,
  ...layoutKernels,
  ...indexingKernels,
  ...matrixKernels,
  ...convolutionKernels,
  ...imageKernels,
  ...compositeKernels,
};

/** Kernels that draw numbers: uncovered on purpose, since their numbers would be baked in. */
const RANDOM = new Set(['Multinomial', 'RandomUniform', 'RandomNormal', 'TruncatedNormal']);

// by a name, or a bundler takes the folders below for assets
const HERE = import.meta.url;

/** Folders whose functions stand between a program and its kernels. */
const BETWEEN = [new URL('.', HERE).pathname, new URL('../../ops/', HERE).pathname, 'tfjs', 'node:'];
const STACK_DEPTH = 60;

/** The first function on the stack that belongs neither to tfjs nor to the engine: where the user's code asked for it. */
function caller(): string | undefined {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = STACK_DEPTH;
  const frames = (new Error('here').stack ?? '').split('\n').slice(1);
  Error.stackTraceLimit = stackTraceLimit;
  const own = frames.find((frame) => !BETWEEN.some((folder) => frame.includes(folder)));
  return own
    ?.trim()
    .replace(/^at /, '')
    .replace(/(file:\/\/)?\/[^()]*\//, '');
}

/** The op whose scope is open, such as `conv2d` or `gradient`. */
function currentOp(): string {
  const { activeScope } = tf.engine().state;
  return (activeScope?.name ?? '').replace(/__op$/, '');
}

function unsupported(what: string, where: string): TacitError {
  const from = caller();
  return new TacitError('engine/unsupported', from ? `${what} (called from ${from})` : what, {
    where,
    hint: 'Write it with other operations, or train with --engine eager.',
  });
}

/** Holds which value of the graph stands behind each of tfjs's data ids. */
class TraceBackend extends tf.KernelBackend {
  graph: GraphBuilder = graphBuilder('');
  private readonly data = new tf.DataStorage<Traced>(this, tf.engine());
  private nextId = 1;

  begin(name: string): GraphBuilder {
    this.graph = graphBuilder(name);
    return this.graph;
  }

  hold(traced: Traced): tf.TensorInfo {
    const dataId = { id: this.nextId++ };
    this.data.set(dataId, traced);
    return { dataId, shape: [...traced.shape], dtype: traced.dtype };
  }

  /** The value behind a tensor; tfjs may see the same data under another shape, never under another type. */
  tracedOf(info: tf.TensorInfo): Traced {
    return { ...this.data.get(info.dataId), shape: info.shape };
  }

  override write(values: tf.BackendValues | null, shape: number[], dtype: tf.DataType): tf.DataId {
    const dataId = { id: this.nextId++ };
    this.move(dataId, values, shape, dtype);
    return dataId;
  }

  override move(dataId: tf.DataId, values: tf.BackendValues | null, shape: number[], dtype: tf.DataType): void {
    this.graph.origin = currentOp();
    const constant = asConstant(values, shape, dtype);
    this.data.set(dataId, { value: this.graph.constant(constant), shape, dtype: constant.dtype as Traced['dtype'] });
  }

  override readSync(): never {
    throw unsupported(`A value is read inside a traced step (${currentOp() || 'dataSync'})`, 'readSync');
  }

  override async read(): Promise<never> {
    throw unsupported('A value is read inside a traced step', 'read');
  }

  override numDataIds(): number {
    return this.data.numDataIds();
  }

  override disposeData(dataId: tf.DataId): boolean {
    if (this.data.has(dataId)) this.data.delete(dataId);
    return true;
  }

  override incRef(): void {}

  override refCount(): number {
    return 1;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override timerAvailable(): boolean {
    return false;
  }
}

/** What tfjs uploads becomes a constant of the graph. */
function asConstant(values: tf.BackendValues | null, shape: number[], dtype: tf.DataType): Constant {
  if (!values) throw unsupported('A tensor was made without values', 'write');
  if (dtype === 'int32') return { dtype, shape, data: Int32Array.from(values as Int32Array) };
  if (dtype === 'bool') return { dtype, shape, data: Uint8Array.from(values as Uint8Array) };
  if (dtype === 'float32') return { dtype, shape, data: Float32Array.from(values as Float32Array) };
  throw unsupported(`A tensor of type ${dtype} cannot be traced`, dtype);
}

/** Adapts a kernel to tfjs's registry. */
function kernelFunc(name: string, kernel: Kernel): tf.KernelFunc {
  return ({ inputs, attrs, backend }) => {
    const trace = backend as TraceBackend;
    const op = currentOp();
    trace.graph.origin = op || name;
    const traced = Object.fromEntries(
      Object.entries(inputs).flatMap(([key, info]) => (info == null ? [] : [[key, trace.tracedOf(info)]])),
    );
    const result = kernel({
      g: trace.graph,
      util: tf.backend_util,
      op,
      inputs: traced,
      attrs: attrs ?? {},
      unsupported: (what) => {
        throw unsupported(`The compiled engine cannot trace ${name} ${what} (op ${op || name})`, name);
      },
    });
    return Array.isArray(result) ? result.map((t) => trace.hold(t)) : trace.hold(result);
  };
}

function uncovered(name: string): tf.KernelFunc {
  return () => {
    const op = currentOp();
    const reason = RANDOM.has(name)
      ? `${name} draws random numbers inside a step; they must come in through draws`
      : `The compiled engine has no kernel ${name}`;
    throw unsupported(`${reason} (op ${op || name})`, name);
  };
}

let registered: TraceBackend | undefined;

/** Registers the backend and its kernels once per process, and returns it. */
export function traceBackend(): TraceBackend {
  if (registered) return registered;
  const backend = new TraceBackend();
  tf.registerBackend(TRACE_BACKEND, () => backend, 0);
  for (const [kernelName, kernel] of Object.entries(KERNELS))
    tf.registerKernel({ kernelName, backendName: TRACE_BACKEND, kernelFunc: kernelFunc(kernelName, kernel) });
  for (const { kernelName } of tf.getKernelsForBackend('cpu'))
    if (!KERNELS[kernelName])
      tf.registerKernel({ kernelName, backendName: TRACE_BACKEND, kernelFunc: uncovered(kernelName) });
  registered = backend;
  return backend;
}
