/** Runs in Chromium: one step on the compiled engine in a Web Worker, as the join page trains. Started and asked by engine-web.ts. */
import { compiledEngine } from '../learning/engine/compiled-web.ts';
import type { Executable } from '../learning/engine/engine.ts';
import { type PreparedStep, prepare, STEPS, type StepName } from './engine-steps.ts';

export type ToWebStep =
  | { readonly step: StepName; readonly threads: number; readonly runtimePath: string }
  | { readonly runs: number }
  /** Runs whose copies are timed, which slows them down. */
  | { readonly copies: number };

interface Loaded {
  readonly executable: Executable;
  readonly feeds: PreparedStep['feeds'];
}

async function load(step: StepName, threads: number, runtimePath: string): Promise<Loaded> {
  if (!globalThis.crossOriginIsolated) throw new Error('the page is not cross-origin isolated: there are no threads');
  const { program, state, feeds } = prepare(STEPS[step]());
  const engine = await compiledEngine({ threads, runtimePath, gpu: 'never' });
  const executable = await engine.load(program);
  await executable.set(state);
  return { executable, feeds };
}

async function measure({ executable, feeds }: Loaded, runs: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const before = performance.now();
    await executable.run(feeds);
    times.push(performance.now() - before);
  }
  return times;
}

/** What typed arrays copy by: batch and draws going in, metrics coming out, and state if any of it were to pass through JavaScript. */
const COPIES = ['set', 'slice'] as const;

/** Milliseconds in those functions while `action` runs. */
async function timeOfCopies(action: () => Promise<unknown>): Promise<number> {
  const arrays = Object.getPrototypeOf(Float32Array.prototype);
  const own = COPIES.map((name) => [name, arrays[name]] as const);
  let ms = 0;
  for (const [name, copy] of own)
    arrays[name] = function timed(this: unknown, ...args: unknown[]) {
      const before = performance.now();
      const result = copy.apply(this, args);
      ms += performance.now() - before;
      return result;
    };
  try {
    await action();
  } finally {
    for (const [name, copy] of own) arrays[name] = copy;
  }
  return ms;
}

/** For each run the share of its time that went into copies. */
async function copyShares(step: Loaded, runs: number): Promise<number[]> {
  const shares: number[] = [];
  for (let i = 0; i < runs; i++) {
    let ms = 0;
    const copying = await timeOfCopies(async () => {
      [ms] = (await measure(step, 1)) as [number];
    });
    shares.push(copying / ms);
  }
  return shares;
}

async function answer(message: ToWebStep): Promise<number[]> {
  if ('step' in message) loaded = await load(message.step, message.threads, message.runtimePath);
  if (!loaded || 'step' in message) return [];
  return 'runs' in message ? measure(loaded, message.runs) : copyShares(loaded, message.copies);
}

let loaded: Loaded | undefined;

self.onmessage = async ({ data }: MessageEvent<ToWebStep>) => {
  try {
    self.postMessage({ numbers: await answer(data) });
  } catch (thrown) {
    self.postMessage({ failed: String(thrown) });
  }
};
