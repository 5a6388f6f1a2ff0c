/**
 * The compiled engine in Node, on onnxruntime-node. A run blocks the thread that calls it, so engines live in the training
 * pool's workers.
 */
import * as ort from 'onnxruntime-node';
import { TacitError } from '../../protocol/errors.ts';
import { blockOfChannels } from './compiled-block.ts';
import { engineOver } from './compiled-engine.ts';
import type { Runtime } from './compiled-session.ts';
import { CUDA_HINT, probeCuda } from './cuda.ts';
import type { Engine } from './engine.ts';
import type { OptimiseOptions } from './rewrites/optimise.ts';

export type Provider = 'cpu' | 'cuda';

export interface CompiledOptions {
  /** Threads of one run; default 1, since the pool runs one worker per core. */
  readonly threads?: number;
  /** Default: cuda where its provider is installed and works, else cpu. */
  readonly provider?: Provider;
  /** Parts of the batch that the threads of one run take side by side; default 1, the whole batch. */
  readonly parts?: number;
}

/** Options of all our sessions; ours is one graph at a time per thread, with shapes known beforehand. */
export const sessionOptions = (
  threads: number,
  provider: Provider,
  parts = 1,
): ort.InferenceSession.SessionOptions => ({
  executionProviders: provider === 'cuda' ? ['cuda', 'cpu'] : ['cpu'],
  intraOpNumThreads: parts === 1 ? threads : 1,
  interOpNumThreads: parts === 1 ? 1 : threads,
  executionMode: parts === 1 ? 'sequential' : 'parallel',
  graphOptimizationLevel: 'all',
  enableCpuMemArena: true,
  enableMemPattern: true,
  logSeverityLevel: 3,
});

interface Choice {
  readonly provider: Provider;
  /** What a person should know of the choice. */
  readonly note?: string;
}

/** The provider that was asked for, or the fastest that works. @throws TacitError engine/unavailable */
async function choose(asked: Provider | undefined): Promise<Choice> {
  if (asked === 'cpu') return { provider: asked };
  const cuda = await probeCuda();
  if (cuda.available) return { provider: 'cuda', note: 'on the GPU' };
  if (asked === 'cuda')
    throw new TacitError('engine/unavailable', cuda.reason, { where: 'compiled:cuda', hint: CUDA_HINT });
  return { provider: 'cpu', ...(cuda.installed ? { note: `on the CPU, since ${cuda.reason}` } : {}) };
}

/** How graphs are rewritten for this machine. */
export const graphOptions = async (provider: Provider, parts = 1): Promise<OptimiseOptions> => ({
  parts,
  block: provider === 'cpu' ? await blockOfChannels() : 0,
});

const runtimeOf = (provider: Provider, options: ort.InferenceSession.SessionOptions): Runtime => ({
  name: `compiled:${provider}`,
  inPlace: true,
  tensor: (dtype, data, shape) => new ort.Tensor(dtype, data as never, shape),
  open: async (model) => {
    const session = await ort.InferenceSession.create(model, options);
    return {
      run: async (feeds, into) => {
        await session.run(feeds as never, into as never);
        return into;
      },
      release: () => session.release(),
    };
  },
});

/**
 * The engine of this process or worker.
 * @throws TacitError engine/unavailable when ONNX Runtime cannot be used with this provider
 */
export async function compiledEngine(options: CompiledOptions = {}): Promise<Engine> {
  const { threads = 1, parts = 1 } = options;
  const { provider, note } = await choose(options.provider);
  const runtime = runtimeOf(provider, sessionOptions(threads, provider, parts));
  const engine = engineOver(runtime, await graphOptions(provider, parts));
  return note === undefined ? engine : { ...engine, note };
}
