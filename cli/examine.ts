/** What `tacit doctor` looks at. Engines are asked for and given back, so that a finding is what a run would get. */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import { CUDA_HINT, probeCuda } from '../learning/engine/cuda.ts';
import type { EngineChoice } from '../learning/engine/engine.ts';
import { createEngine } from '../learning/engine/select.ts';
import { packageRoot } from './package-root.ts';
import { formatBytes } from './units.ts';

export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** Nothing that works today needs it. */
  readonly optional: boolean;
  readonly detail: string;
  readonly hint?: string;
}

/** The version of an installed package, found from its main file upwards. */
async function versionOf(name: string): Promise<string | undefined> {
  const { resolve } = createRequire(join(packageRoot, 'package.json'));
  for (const base of resolve.paths(name) ?? []) {
    const text = await readFile(join(base, name, 'package.json'), 'utf8').catch(() => undefined);
    if (text !== undefined) return (JSON.parse(text) as { version: string }).version;
  }
  return undefined;
}

async function node(): Promise<Finding> {
  const { engines } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8')) as {
    engines: { node: string };
  };
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [needMajor = 0, needMinor = 0] = (/(\d+)\.(\d+)/.exec(engines.node)?.slice(1) ?? []).map(Number);
  const ok = major > needMajor || (major === needMajor && minor >= needMinor);
  return {
    name: 'Node',
    ok,
    optional: false,
    detail: `${process.version} on ${process.platform} ${process.arch}`,
    ...(ok ? {} : { hint: `Tacit needs Node ${engines.node}.` }),
  };
}

const machine = (): Finding => ({
  name: 'processor',
  ok: true,
  optional: false,
  detail: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} threads, ${formatBytes(totalmem())} memory`,
});

/** Engines by the choice that asks for them, with the packages that they are made of. */
const ENGINES: readonly { choice: EngineChoice; packages: readonly string[]; optional: boolean; hint: string }[] = [
  {
    choice: 'compiled',
    packages: ['onnxruntime-node'],
    optional: true,
    hint: '`npm ci` installs onnxruntime-node where it has a binary for this platform.',
  },
  {
    choice: 'eager:wasm',
    packages: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'],
    optional: false,
    hint: 'Run `npm ci` again.',
  },
  { choice: 'eager:cpu', packages: ['@tensorflow/tfjs'], optional: false, hint: 'Run `npm ci` again.' },
  {
    choice: 'eager:tensorflow',
    packages: ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'],
    optional: true,
    hint: '`npm i @tensorflow/tfjs-node` (or -gpu); in a network without its downloads `node scripts/install-tfjs-node.mjs`, from a checkout.',
  },
];

async function engine({ choice, packages, optional, hint }: (typeof ENGINES)[number]): Promise<Finding> {
  const versions = await Promise.all(packages.map(async (name) => [name, await versionOf(name)] as const));
  const installed = versions
    .filter(([, version]) => version !== undefined)
    .map(([name, version]) => `${name} ${version}`);
  try {
    const made = await createEngine(choice);
    await made.engine.close();
    return { name: `engine ${choice}`, ok: true, optional, detail: `${made.engine.name} (${installed.join(', ')})` };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message.split('\n')[0]! : String(thrown);
    return {
      name: `engine ${choice}`,
      ok: false,
      optional,
      detail: installed.length > 0 ? reason : 'not installed',
      hint,
    };
  }
}

/** The name, memory and driver of each NVIDIA GPU, as its own tool says. */
const nvidia = (): Promise<readonly string[]> =>
  new Promise((resolve) => {
    const query = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader'];
    execFile('nvidia-smi', query, { timeout: 10_000 }, (error, stdout) =>
      resolve(error ? [] : stdout.trim().split('\n').filter(Boolean)),
    );
  });

/** GPUs, and whether the compiled engine can use them. */
async function graphics(): Promise<Finding[]> {
  const gpus = await nvidia();
  const cuda = await probeCuda();
  const wanted = gpus.length > 0 || (!cuda.available && cuda.installed);
  return [
    {
      name: 'GPU',
      ok: gpus.length > 0,
      optional: true,
      detail: gpus.length > 0 ? gpus.join('; ') : 'no NVIDIA GPU found; everything runs on the processor',
    },
    {
      name: 'CUDA provider',
      ok: cuda.available,
      optional: true,
      detail: cuda.available ? 'installed, and a session ran on it' : cuda.reason,
      ...(wanted && !cuda.available ? { hint: CUDA_HINT } : {}),
    },
  ];
}

/** What participants' browsers are served for training. */
async function inBrowsers(): Promise<Finding> {
  const version = await versionOf('onnxruntime-web');
  return {
    name: 'engine in browsers',
    ok: version !== undefined,
    optional: true,
    detail:
      version === undefined
        ? 'onnxruntime-web is not installed'
        : `onnxruntime-web ${version}, served with the join page; WebGPU only where a probe step on it is right`,
    ...(version === undefined ? { hint: 'Run `npm ci` again.' } : {}),
  };
}

async function automatic(): Promise<Finding> {
  try {
    const { engine, reason } = await createEngine('auto');
    await engine.close();
    return { name: 'engine auto', ok: true, optional: false, detail: `${engine.name}: ${reason}` };
  } catch (thrown) {
    return { name: 'engine auto', ok: false, optional: false, detail: String(thrown), hint: 'Run `npm ci` again.' };
  }
}

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'firefox', 'microsoft-edge'];

function browser(): Finding {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const named = process.env.TACIT_CHROMIUM;
  const found = [
    ...(named ? [named] : []),
    ...BROWSERS.flatMap((name) => folders.map((folder) => join(folder, name))),
  ].find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return {
    name: 'browser',
    ok: found !== undefined,
    optional: true,
    detail: found ?? 'none found on this machine',
    ...(found
      ? {}
      : {
          hint: 'Only to join by a page here, and for the browser tests: `apt-get install chromium`, or set TACIT_CHROMIUM.',
        }),
  };
}

/** Looks at everything, one after the other: two engines at once would disturb each other. */
export async function examine(): Promise<Finding[]> {
  const findings = [await node(), machine()];
  for (const entry of ENGINES) findings.push(await engine(entry));
  findings.push(await automatic(), ...(await graphics()), await inBrowsers(), browser());
  return findings;
}

/** One line for each finding; what is missing says how to get it. */
export function renderFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map((finding) => finding.name.length));
  return findings
    .flatMap(({ name, ok, optional, detail, hint }) => [
      `${ok ? '✓' : optional ? '–' : '✗'} ${name.padEnd(width)}  ${detail}`,
      ...(hint ? [`  ${''.padEnd(width)}  try: ${hint}`] : []),
    ])
    .join('\n');
}
