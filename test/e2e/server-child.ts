/**
 * Runs a TypeScript module of the tests in a Node process of its own, for what cannot be tried in the test's process:
 * being killed, being asked which modules it loads. The module is bundled first, since Node 20 runs no TypeScript.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface Bundle {
  readonly file: string;
  remove(): Promise<void>;
}

/** Bundles `entry` (relative to the package) with everything of ours that it imports; packages stay imports. */
export async function bundle(entry: string): Promise<Bundle> {
  const cache = join(root, 'node_modules', '.cache', 'tacit-tests');
  await mkdir(cache, { recursive: true });
  const outDir = await mkdtemp(join(cache, 'child-'));
  await build({
    configFile: false,
    root,
    logLevel: 'error',
    build: {
      ssr: join(root, entry),
      outDir,
      minify: false,
      rolldownOptions: { output: { entryFileNames: 'main.mjs', chunkFileNames: '[name]-[hash].mjs' } },
    },
  });
  return { file: join(outDir, 'main.mjs'), remove: () => rm(outDir, { recursive: true, force: true }) };
}

export interface Child {
  readonly process: ChildProcess;
  /** Lines of its standard output, as they come. */
  readonly lines: AsyncIterable<string>;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>;
}

export function runChild(file: string, args: readonly string[] = [], nodeArgs: readonly string[] = []): Child {
  const child = spawn(process.execPath, [...nodeArgs, file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exit = new Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stderr }));
  });
  return { process: child, lines: linesOf(child.stdout.setEncoding('utf8')), exit };
}

async function* linesOf(stream: AsyncIterable<string>): AsyncIterable<string> {
  let rest = '';
  for await (const piece of stream) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
