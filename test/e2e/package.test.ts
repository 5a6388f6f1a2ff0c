/** What `npm pack` makes is a package: unpacked into an empty folder beside its dependencies, it has its entry points and runs. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const execute = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The dependencies are those of this checkout, so that the test needs no network. */
async function linkDependencies(modules: string): Promise<void> {
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (!name.startsWith('.')) await symlink(join(root, 'node_modules', name), join(modules, name));
  }
}

describe('the package', () => {
  let folder = '';
  const installed = (...path: string[]): string => join(folder, 'node_modules', 'tacit', ...path);
  const run = (...args: string[]) => execute(process.execPath, args, { cwd: folder });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tacit-package-'));
    const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
    const { stdout } = await execute('npm', pack, { cwd: root, maxBuffer: 2 ** 26 });
    const listed = JSON.parse(stdout) as { filename: string }[] | Record<string, { filename: string }>;
    const [{ filename }] = Object.values(listed) as [{ filename: string }];
    await mkdir(installed(), { recursive: true });
    await execute('tar', ['-xzf', join(folder, filename), '-C', installed(), '--strip-components=1']);
    await linkDependencies(join(folder, 'node_modules'));
  }, 60_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('has every entry point, with types', async () => {
    const { exports } = JSON.parse(await readFile(installed('package.json'), 'utf8')) as {
      exports: Record<string, string | { types: string }>;
    };
    const names = Object.keys(exports).filter((name) => !name.endsWith('.json'));
    expect(names).toHaveLength(6);
    for (const name of names) {
      const types = exports[name] as { types: string };
      expect(await readFile(installed(types.types), 'utf8')).toMatch(/export/);
      await writeFile(
        join(folder, 'entry.mjs'),
        `import * as entry from '${name.replace('.', 'tacit')}'; console.log(Object.keys(entry).length);`,
      );
      expect(Number((await run('entry.mjs')).stdout), name).toBeGreaterThan(0);
    }
  });

  it('holds what it needs at run time and not the sources', async () => {
    const top = await readdir(installed());
    expect(top).toEqual(expect.arrayContaining(['dist', 'data', 'plans', 'README.md', 'LICENSE']));
    expect(top).not.toContain('learning');
    expect(await readdir(installed('dist', 'client', 'browser', 'page'))).toContain('index.html');
  });

  it('trains a model', { timeout: 60_000 }, async () => {
    const tacit = installed('dist', 'cli', 'tacit.js');
    const small = ['--set', 'rounds=1', '--set', 'steps=1', '--set', 'batch=16', '--participants', '2'];
    const { stdout } = await run(
      tacit,
      'simulate',
      ...small,
      '--set',
      'cohort=2',
      '--set',
      'privacy=sealed',
      '--json',
      '--out',
      'run',
    );
    expect(JSON.parse(stdout)).toMatchObject({
      rounds: 1,
      participants: 2,
      modelHash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });
});
