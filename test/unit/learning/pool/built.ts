import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../..', import.meta.url));
const mtime = (path: string): number => statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const newest = (folder: string): number =>
  Math.max(
    ...readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => mtime(join(folder, name))),
  );

/** Workers run from dist/: compiles it when it is older than the sources (never so under `npm test`, which builds first). */
export function ensureBuilt(): void {
  const built = Math.max(mtime('dist/.built'), mtime('dist/.tsbuildinfo'));
  if (built > Math.max(newest('learning'), newest('protocol')) && mtime('dist/learning/pool/worker.js') > 0) return;
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'ignore' });
}
