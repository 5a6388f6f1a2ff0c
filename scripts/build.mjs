// Builds dist/: TypeScript by tsc, the join page by Vite. `--if-stale` does nothing when dist/ is newer than every source.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SOURCES = ['protocol', 'learning', 'client', 'server', 'simulations', 'cli', 'bench'];
const CONFIGURATION = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'vite.config.ts'];
const stamp = join(root, 'dist', '.built');

function newest(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  let latest = stat.mtimeMs;
  for (const name of readdirSync(path)) latest = Math.max(latest, newest(join(path, name)));
  return latest;
}

const isFresh = () =>
  existsSync(stamp) &&
  Math.max(...[...SOURCES, ...CONFIGURATION].map((p) => newest(join(root, p)))) <= statSync(stamp).mtimeMs;

function run(module, args) {
  const result = spawnSync(process.execPath, [module, ...args], { cwd: root, stdio: ['ignore', 2, 2] });
  if (result.status !== 0) {
    process.stderr.write(`build: ${args.join(' ')} failed\n`);
    process.exit(result.status ?? 1);
  }
}

/** The development tools are absent when a published package is installed; then dist/ came with it. */
function toolPath(name, bin) {
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), bin);
  } catch {
    if (existsSync(stamp)) process.exit(0);
    process.stderr.write(`build: ${name} is not installed; run \`npm ci\` first\n`);
    process.exit(1);
  }
}

if (!(process.argv.includes('--if-stale') && isFresh())) {
  const tsc = toolPath('typescript', 'bin/tsc');
  const vite = toolPath('vite', 'bin/vite.js');
  rmSync(stamp, { force: true });
  run(tsc, ['-p', 'tsconfig.build.json']);
  if (existsSync(join(root, 'vite.config.ts'))) run(vite, ['build', '--logLevel', 'warn']);
  writeFileSync(stamp, '');
}
