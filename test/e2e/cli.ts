/** Runs the real `tacit` of dist/ as a person would. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const tacitScript = join(root, 'dist', 'cli', 'tacit.js');

const sleepSync = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** Builds dist/ when a source is newer; test files that start at the same time build it once. */
export function buildOnce(): void {
  const lock = join(tmpdir(), `tacit-build-${Buffer.from(root).toString('hex').slice(-40)}`);
  for (let waited = 0; ; waited += 100) {
    try {
      mkdirSync(lock);
      break;
    } catch {
      if (waited > 120_000) throw new Error(`another build holds ${lock}`);
      sleepSync(100);
    }
  }
  try {
    const built = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs'), '--if-stale'], { encoding: 'utf8' });
    if (built.status !== 0) throw new Error(`the build failed:\n${built.stderr}`);
  } finally {
    rmdirSync(lock);
  }
}

export interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  /** Resolves with the output so far once `pattern` occurs in stdout or stderr. */
  until(pattern: RegExp): Promise<string>;
}

interface SpawnOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Instead of `tacit`. */
  readonly script?: string;
  /** Instead of Node with a script. */
  readonly program?: string;
}

const alive = new Set<ChildProcess>();

/** Ends what a test has left running; for `afterAll`. */
export function endAll(): void {
  for (const child of alive) child.kill('SIGKILL');
}

/** Starts `tacit` with these arguments. */
export function start(
  args: readonly string[],
  { cwd = root, env = {}, script = tacitScript, program }: SpawnOptions = {},
): Running {
  const [command, words] = program === undefined ? [process.execPath, [script, ...args]] : [program, args];
  const child = spawn(command, words, {
    cwd,
    env: { ...process.env, TACIT_DEBUG: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  alive.add(child);
  let stdout = '';
  let stderr = '';
  const watchers = new Set<() => void>();
  const heard = (): void => {
    for (const watch of watchers) watch();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    heard();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    heard();
  });
  const ended = new Promise<Outcome>((resolve) => {
    child.on('close', (status, signal) => {
      alive.delete(child);
      resolve({ status, signal, stdout, stderr });
    });
  });
  const until = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const watch = (): void => {
        if (!pattern.test(stdout) && !pattern.test(stderr)) return;
        watchers.delete(watch);
        resolve(stdout + stderr);
      };
      watchers.add(watch);
      void ended.then(() => reject(new Error(`ended before ${pattern}:\n${stdout}\n${stderr}`)));
      watch();
    });
  return { child, ended, until };
}

/** Runs `tacit` to its end. */
export const tacit = (args: readonly string[], options?: SpawnOptions): Promise<Outcome> => start(args, options).ended;
