/** Which engine runs here, and why: what a person asked for, or the fastest that is found. */
import { TacitError } from '../../protocol/errors.ts';
import { eagerEngine } from './eager.ts';
import { BACKENDS, type Backend, type BackendOptions } from './eager-backend.ts';
import { probeTensorFlow } from './eager-tensorflow.ts';
import type { Engine, EngineChoice } from './engine.ts';

export type EngineOptions = BackendOptions;

interface CompiledModule {
  compiledEngine(options: EngineOptions): Promise<Engine>;
}

/** The compiled engine of this platform. A bundle for browsers must not follow the path to Node's, hence the variable. */
const MODULES: { readonly compiled?: () => Promise<CompiledModule> } = globalThis.process?.versions?.node
  ? {
      compiled: () => {
        const path: string = './compiled.ts';
        return import(/* @vite-ignore */ path) as Promise<CompiledModule>;
      },
    }
  : {};

export interface SelectedEngine {
  readonly engine: Engine;
  /** One line for a person and for the log. */
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

async function compiled(options: EngineOptions): Promise<Engine> {
  const load = MODULES.compiled;
  if (!load) throw unavailable('compiled', 'the compiled engine is not part of this build');
  return (await load()).compiledEngine(options);
}

async function bestEager(options: EngineOptions): Promise<SelectedEngine> {
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
  if (choice === 'compiled') return { engine: await compiled(options), reason: 'asked for' };
  if (choice === 'eager') return bestEager(options);
  if (choice !== 'auto') return named(choice, options);
  if (!MODULES.compiled) return bestEager(options);
  try {
    return { engine: await compiled(options), reason: 'compiled: the fastest that runs here' };
  } catch (thrown) {
    const fallback = await bestEager(options);
    return { ...fallback, reason: `${fallback.reason}; the compiled engine failed: ${(thrown as Error).message}` };
  }
}
