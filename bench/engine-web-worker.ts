/** Runs in Chromium: one step on the compiled engine in a Web Worker, as the join page trains. Started and asked by engine-web.ts. */
import { compiledEngine } from '../learning/engine/compiled-web.ts';
import type { Executable } from '../learning/engine/engine.ts';
import { type PreparedStep, prepare, STEPS, type StepName } from './engine-steps.ts';

export type ToWebStep =
  | { readonly step: StepName; readonly threads: number; readonly runtimePath: string }
  | { readonly runs: number };

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

let loaded: Loaded | undefined;

self.onmessage = async ({ data }: MessageEvent<ToWebStep>) => {
  try {
    if ('step' in data) loaded = await load(data.step, data.threads, data.runtimePath);
    self.postMessage({ times: 'runs' in data && loaded ? await measure(loaded, data.runs) : [] });
  } catch (thrown) {
    self.postMessage({ failed: String(thrown) });
  }
};
