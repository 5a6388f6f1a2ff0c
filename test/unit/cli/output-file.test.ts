import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openOutput, writeOutput } from '../../../cli/output-file.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'output-'));
});
afterEach(() => rm(dir, { recursive: true }));

test('writes over what was there, whole or piece by piece', async () => {
  const path = join(dir, 'out');
  await writeOutput('--out', path, 'a long first text');
  await writeOutput('--out', path, 'short');
  expect(await readFile(path, 'utf8')).toBe('short');
  const file = await openOutput('--out', path);
  await file.writeFile('in ');
  await file.writeFile('pieces');
  await file.close();
  expect(await readFile(path, 'utf8')).toBe('in pieces');
});

test('a file that cannot be written is told with its flag', async () => {
  const path = join(dir, 'missing', 'out');
  const refused = { code: 'run/store', where: `--save-model ${path}`, message: expect.stringContaining('ENOENT') };
  await expect(writeOutput('--save-model', path, '')).rejects.toMatchObject(refused);
  await expect(openOutput('--save-model', path)).rejects.toMatchObject(refused);
});
