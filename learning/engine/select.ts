/** Which engine runs here, and why: what a person asked for, or the fastest that is found. */
import { TacitError } from '../../protocol/errors.ts';
import { eagerEngine } from './eager.ts';
import { BACKENDS, type Backend, type BackendOptions } from './eager-backend.ts';
import { probeTensorFlow } from './eager-tensorflow.ts';
import type { Engine, EngineChoice } from './engine.ts';
import { withReserve } from './reserve.ts';

export interface EngineOptions extends BackendOptions {
  /** Where a browser finds the files of onnxruntime-web: a URL ending in `/`. */
  readonly runtimePath?: string;
  /** Threads of one run of the compiled engine. */
  readonly threads?: number;
}

interface CompiledModule {
  compiledEngine(options: EngineOptions): Promise<Engine>;
}

const isNode = globalThis.process?.versions?.node !== undefined;

/** The compiled engine of this platform. A bundle for browsers must not follow the path to Node's, hence the variable. */
function compiledModule(): Promise<CompiledModule> {
  if (!isNode) return import('./compiled-web.ts');
  const path: string = './compiled.ts';
  return import(/* @vite-ignore */ path) as Promise<CompiledModule>;
}

export interface SelectedEngine {
  readonly engine: Engine;
  /** One line for a person and for the log; another one when the engine has found out more (`Engine.note`, reserve.ts). */
  readonly reason: string;
}

const unavailable = (where: string, message: string): TacitError =>
  new TacitError('engine/unavailable', message, {
    where,
    hint: `Use --engine auto, or one of: ${CHOICES.join(', ')}.`,
  });

/** What `--engine` takes. */
export const CHOICES: readonly EngineChoice[] = [
  'auto',
  'compiled',
  'eager',
  ...BACKENDS.map((backend): EngineChoice => `eager:${backend}`),
];

async function compiled(options: EngineOptions, reason: string): Promise<SelectedEngine> {
  const engine = await (await compiledModule()).compiledEngine(options);
  return {
    engine,
    get reason() {
      return engine.note === undefined ? reason : `${reason}; ${engine.note}`;
    },
  };
}

/** In a browser the engine may still fail on a real step, and tfjs then goes on; in Node such a failure is a defect, and is seen. */
function reserved(selected: SelectedEngine, options: EngineOptions): SelectedEngine {
  if (isNode) return selected;
  const engine = withReserve(selected.engine, () => bestEager(options));
  return {
    engine,
    get reason() {
      return engine.taken?.reason ?? selected.reason;
    },
  };
}

/** In a browser: WebAssembly, or plain JavaScript where even that cannot be had. */
async function bestEagerInBrowser(options: EngineOptions): Promise<SelectedEngine> {
  try {
    return { engine: await eagerEngine('wasm', options), reason: 'WebAssembly, operation by operation' };
  } catch (thrown) {
    const engine = await eagerEngine('cpu', options);
    return { engine, reason: `plain JavaScript, slow: ${(thrown as Error).message}` };
  }
}

async function bestEager(options: EngineOptions): Promise<SelectedEngine> {
  if (!isNode) return bestEagerInBrowser(options);
  const native = await probeTensorFlow();
  if (!native.available)
    return { engine: await eagerEngine('wasm', options), reason: `WebAssembly, since ${native.reason}` };
  const device = native.gpu ? 'with a GPU' : 'on the CPU';
  return {
    engine: await eagerEngine('tensorflow', options),
    reason: `${native.package} is installed and runs ${device}`,
  };
}

async function named(choice: string, options: EngineOptions): Promise<SelectedEngine> {
  const backend = choice.slice('eager:'.length) as Backend;
  if (!choice.startsWith('eager:') || !BACKENDS.includes(backend))
    throw unavailable(choice, `there is no engine "${choice}"`);
  if (backend === 'tensorflow') {
    const native = await probeTensorFlow();
    if (!native.available) throw unavailable(choice, native.reason);
  }
  return { engine: await eagerEngine(backend, options), reason: 'asked for' };
}

/**
 * The engine for a choice.
 * @throws TacitError engine/unavailable, with the reason, when what was asked for cannot run here
 */
export async function createEngine(choice: EngineChoice, options: EngineOptions = {}): Promise<SelectedEngine> {
  if (choice === 'compiled') return compiled(options, 'asked for');
  if (choice === 'eager') return bestEager(options);
  if (choice !== 'auto') return named(choice, options);
  try {
    return reserved(await compiled(options, 'the fastest that runs here'), options);
  } catch (thrown) {
    const fallback = await bestEager(options);
    return { ...fallback, reason: `${fallback.reason}; the compiled engine failed: ${(thrown as Error).message}` };
  }
}
