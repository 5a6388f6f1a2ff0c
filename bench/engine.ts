/**
 * `npm run bench -- engine`: milliseconds per training step by engine and threads, each the minimum of at least 15 after warm-up.
 * The contenders of a step take turns, so that a noisy moment of the machine meets all of them; where other work never stops,
 * `cpuMs`, the processor time of the cheapest run, compares engines at one thread better than `ms` does.
 * Flags: `--steps a,b`, `--engines a,b` (default: all that are here), `--threads 1,2`, `--rounds N` (turns of 5, default 4).
 */
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { TacitError } from '../protocol/errors.ts';
import type { Contender, Contenders, Run } from './engine-contender.ts';
import { compiled, eagerCpu, eagerTensorFlow, eagerWasm } from './engine-ours.ts';
import { STEPS, type StepName } from './engine-steps.ts';
import { torch, torchVersion } from './engine-torch.ts';
import { NO_WEB, openWebBench, type WebBench } from './engine-web.ts';
import type { Bench, BenchReport } from './report.ts';

const STEP_NAMES = Object.keys(STEPS) as StepName[];
const RUNS_PER_TURN = 5;
const WARM_UP = 3;
/** Runs whose copies are timed. */
const COPY_RUNS = 15;

/** By what `--engines` calls them; `torch` is both of its layouts. */
const kindsWith = (web: WebBench) => ({
  compiled,
  'compiled-web': web.contenders,
  torch,
  'eager:wasm': eagerWasm,
  'eager:tfjs-node': eagerTensorFlow,
  'eager:cpu': eagerCpu,
});
const KINDS = Object.keys(kindsWith(NO_WEB)) as (keyof ReturnType<typeof kindsWith>)[];

// a type and not an interface, to be one of a report's results
type Timed = {
  readonly step: StepName;
  readonly engine: string;
  readonly threads: number;
  readonly batch?: number;
  readonly ms: number;
  readonly cpuMs?: number;
  /** Of a step's time, what goes into copies through JavaScript: data, metrics, and state if any. */
  readonly copyShare?: number;
};

/** The names in a list, each one of those that there are. @throws TacitError usage/unknown-flag */
function chosen<Name extends string>(flag: string, text: string, all: readonly Name[]): Name[] {
  const names = text.split(',').filter((part) => part !== '');
  const unknown = names.find((name) => !all.includes(name as Name));
  if (unknown !== undefined)
    throw new TacitError('usage/unknown-flag', `${flag}: there is no "${unknown}"`, {
      where: flag,
      hint: `There are: ${all.join(', ')}.`,
    });
  return names as Name[];
}

function flags(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      steps: { type: 'string', default: STEP_NAMES.join() },
      engines: { type: 'string', default: KINDS.join() },
      threads: { type: 'string', default: '1,2' },
      rounds: { type: 'string', default: '4' },
    },
  });
  return {
    steps: chosen('--steps', values.steps, STEP_NAMES),
    kinds: chosen('--engines', values.engines, KINDS),
    threads: values.threads.split(',').map(Number),
    rounds: Number(values.rounds),
  };
}

/** compiled over the others at the same threads, on the same batch: 2 means twice as fast. */
function ratiosOf(results: readonly Timed[]): Record<string, number> {
  const ratios: Record<string, number> = {};
  for (const other of results) {
    const same = (r: Timed): boolean => r.step === other.step && r.threads === other.threads;
    const ours = results.find((r) => same(r) && r.engine === 'compiled');
    if (ours && other !== ours && other.batch === undefined)
      ratios[`${other.step} compiled/${other.engine} ${other.threads} threads`] = other.ms / ours.ms;
  }
  return ratios;
}

const versionOf = (name: string): string =>
  (createRequire(import.meta.url)(`${name}/package.json`) as { version: string }).version;

/** Times all contenders in turns. */
async function takeTurns(all: readonly Contender[], rounds: number, signal: AbortSignal): Promise<Run[][]> {
  const runs = all.map((): Run[] => []);
  for (let round = 0; round < rounds; round++)
    for (const [i, contender] of all.entries()) {
      signal.throwIfAborted();
      if (round === 0) await contender.measure(WARM_UP);
      runs[i]!.push(...(await contender.measure(RUNS_PER_TURN)));
    }
  return runs;
}

/** Sets up all contenders of a step, times them and closes them. */
async function timeStep(
  step: StepName,
  kinds: readonly Contenders[],
  threads: readonly number[],
  rounds: number,
  signal: AbortSignal,
): Promise<Timed[]> {
  const all: Contender[] = [];
  try {
    for (const kind of kinds) all.push(...(await kind(step, threads)));
    const runs = await takeTurns(all, rounds, signal);
    const shares: (number | undefined)[] = [];
    for (const contender of all) shares.push(await contender.copyShare?.(COPY_RUNS));
    return all.map(({ engine, threads: count, batch }, i): Timed => {
      const cpu = runs[i]!.flatMap(({ cpuMs }) => cpuMs ?? []);
      return {
        step,
        engine,
        threads: count,
        ...(batch === undefined ? {} : { batch }),
        ms: Math.min(...runs[i]!.map(({ ms }) => ms)),
        ...(cpu.length === 0 ? {} : { cpuMs: Math.min(...cpu) }),
        ...(shares[i] === undefined ? {} : { copyShare: shares[i] }),
      };
    });
  } finally {
    for (const contender of all) await contender.close();
  }
}

function lineOf({ step, engine, threads, batch, ms, cpuMs, copyShare }: Timed): string {
  const copies = copyShare === undefined ? '' : `, ${(100 * copyShare).toFixed(2)} % of it copies`;
  const processor = cpuMs === undefined ? '' : `, ${cpuMs.toFixed(2)} of processor`;
  return `${step}  ${engine}  ${threads} threads  ${ms.toFixed(2)} ms${processor}${batch ? ` (batch ${batch})` : ''}${copies}`;
}

export const run: Bench = async (args, { progress, signal }): Promise<BenchReport> => {
  const { steps, kinds, threads, rounds } = flags(args);
  if (kinds.includes('torch') && (await torchVersion()) === undefined)
    progress('no Python with torch (TACIT_PYTHON): it is left out');
  const web = kinds.includes('compiled-web') ? await openWebBench(progress) : NO_WEB;
  const results: Timed[] = [];
  try {
    for (const step of steps) {
      const timed = await timeStep(
        step,
        kinds.map((kind) => kindsWith(web)[kind]),
        threads,
        rounds,
        signal,
      );
      for (const result of timed) progress(lineOf(result));
      results.push(...timed);
    }
  } finally {
    await web.close();
  }
  const notes = {
    onnxruntime: versionOf('onnxruntime-node'),
    tfjs: versionOf('@tensorflow/tfjs'),
    torch: (await torchVersion()) ?? null,
    browser: web.browser ?? null,
  };
  return { results, ratios: ratiosOf(results), notes };
};
