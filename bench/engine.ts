/**
 * `npm run bench -- engine`: milliseconds per training step by engine and threads, each the minimum of at least 15 after warm-up.
 * The contenders of a step take turns, so that a noisy moment of the machine meets all of them.
 * Flags: `--steps a,b`, `--threads 1,2`, `--rounds N` (turns, default 4), `--parts N` (also times the batch split into parts).
 */
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { compiledEngine } from '../learning/engine/compiled.ts';
import { eagerEngine } from '../learning/engine/eager.ts';
import type { Engine } from '../learning/engine/engine.ts';
import { TacitError } from '../protocol/errors.ts';
import { prepare, STEPS, type StepName } from './engine-steps.ts';
import { torchStep, torchVersion } from './engine-torch.ts';
import { openWebBench, type WebBench } from './engine-web.ts';
import type { Bench, BenchReport } from './report.ts';

const RUNS_PER_TURN = 5;
const WARM_UP = 3;

interface Contender {
  readonly engine: string;
  readonly threads: number;
  measure(runs: number): Promise<readonly number[]>;
  close(): Promise<void> | void;
}

/** An engine of ours as a contender; it is closed with it. */
async function ours(name: string, step: StepName, threads: number, engine: Engine): Promise<Contender> {
  const { program, state, feeds } = prepare(STEPS[step]());
  const executable = await engine.load(program);
  await executable.set(state);
  const measure = async (runs: number): Promise<number[]> => {
    const times: number[] = [];
    for (let i = 0; i < runs; i++) {
      const before = performance.now();
      await executable.run(feeds);
      times.push(performance.now() - before);
    }
    return times;
  };
  return { engine: name, threads, measure, close: () => engine.close() };
}

async function contenders(
  step: StepName,
  threads: readonly number[],
  parts: number,
  torch: boolean,
  web: WebBench,
): Promise<Contender[]> {
  const list: Contender[] = [];
  for (const count of threads) {
    list.push(await ours('compiled', step, count, await compiledEngine({ threads: count })));
    if (parts > 1)
      list.push(await ours(`compiled:${parts} parts`, step, count, await compiledEngine({ threads: count, parts })));
    list.push(...(await web.contenders(step, count)));
    if (!torch) continue;
    for (const layout of ['torch', 'torch-channels-last'] as const)
      list.push({ engine: layout, threads: count, ...(await torchStep(step, layout, count)) });
  }
  if (step === 'spectral-mlp') list.push(await ours('eager:wasm', step, 1, await eagerEngine('wasm')));
  return list;
}

const list = (text: string): string[] => text.split(',').filter((part) => part !== '');

function flags(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      steps: { type: 'string', default: Object.keys(STEPS).join() },
      threads: { type: 'string', default: '1,2' },
      rounds: { type: 'string', default: '4' },
      parts: { type: 'string', default: '1' },
    },
  });
  const unknown = list(values.steps).find((name) => !(name in STEPS));
  if (unknown !== undefined)
    throw new TacitError('usage/unknown-flag', `--steps: there is no step "${unknown}"`, {
      where: '--steps',
      hint: `There are: ${Object.keys(STEPS).join(', ')}.`,
    });
  return {
    steps: list(values.steps) as StepName[],
    threads: list(values.threads).map(Number),
    rounds: Number(values.rounds),
    parts: Number(values.parts),
  };
}

/** compiled over the others at the same threads: 2 means twice as fast. */
function ratiosOf(
  results: readonly { step: string; engine: string; threads: number; ms: number }[],
): Record<string, number> {
  const ratios: Record<string, number> = {};
  for (const other of results) {
    const compiled = results.find(
      (r) => r.step === other.step && r.threads === other.threads && r.engine === 'compiled',
    );
    if (compiled && other !== compiled)
      ratios[`${other.step} compiled/${other.engine} ${other.threads} threads`] = other.ms / compiled.ms;
  }
  return ratios;
}

const versionOf = (name: string): string =>
  (createRequire(import.meta.url)(`${name}/package.json`) as { version: string }).version;

/** Times all contenders of one step in turns. */
async function timeStep(step: StepName, all: readonly Contender[], rounds: number, signal: AbortSignal) {
  const times = all.map((): number[] => []);
  for (let round = 0; round < rounds; round++)
    for (const [i, contender] of all.entries()) {
      signal.throwIfAborted();
      if (round === 0) await contender.measure(WARM_UP);
      times[i]!.push(...(await contender.measure(RUNS_PER_TURN)));
    }
  return all.map(({ engine, threads }, i) => ({ step, engine, threads, ms: Math.min(...times[i]!) }));
}

export const run: Bench = async (args, { progress, signal }): Promise<BenchReport> => {
  const { steps, threads, rounds, parts } = flags(args);
  const torch = await torchVersion();
  if (torch === undefined) progress('no Python with torch (TACIT_PYTHON): it is left out');
  const web = await openWebBench(progress);
  const results: { step: string; engine: string; threads: number; ms: number }[] = [];
  try {
    for (const step of steps) {
      const all = await contenders(step, threads, parts, torch !== undefined, web);
      try {
        results.push(...(await timeStep(step, all, rounds, signal)));
      } finally {
        for (const contender of all) await contender.close();
      }
      for (const { engine, threads: count, ms } of results.filter((r) => r.step === step))
        progress(`${step}  ${engine}  ${count} threads  ${ms.toFixed(2)} ms`);
    }
  } finally {
    await web.close();
  }
  const notes = {
    onnxruntime: versionOf('onnxruntime-node'),
    tfjs: versionOf('@tensorflow/tfjs'),
    torch: torch ?? null,
    browser: web.browser ?? null,
  };
  return { results, ratios: ratiosOf(results), notes };
};
